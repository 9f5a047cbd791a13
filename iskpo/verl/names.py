"""What loss and advantage estimator are called in verl's configuration, without verl: importing that takes seconds."""

TARGET = "iskpo.verl.config.KalmanPolicyLossConfig"
LOSS_MODE = "iskpo"
KRPO = "krpo"
