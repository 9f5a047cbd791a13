"""What loss and advantage estimator are called in verl's configuration, without verl: importing that takes seconds."""

TARGET = "iskpo.verl.config.KalmanPolicyLossConfig"
LOSS_MODE = "iskpo"
KRPO = "krpo"

# Among the variables of a slot's own process: the id, in hexadecimal, of the placement group that is reserved for it.
PLACEMENT_GROUP = "ISKPO_PLACEMENT_GROUP"
