"""What the loss is called in verl's configuration, without verl: importing that takes seconds."""

TARGET = "iskpo.verl.config.KalmanPolicyLossConfig"
LOSS_MODE = "iskpo"
