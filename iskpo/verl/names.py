"""What loss and advantage estimator are called in verl's configuration, without verl: importing that takes seconds."""

from typing import Any

TARGET = "iskpo.verl.config.KalmanPolicyLossConfig"
LOSS_MODE = "iskpo"
GMPO = "gmpo"
KRPO = "krpo"

# Among the variables of a slot's own process: the id, in hexadecimal, of the placement group that is reserved for it.
PLACEMENT_GROUP = "ISKPO_PLACEMENT_GROUP"

# Settings of verl's that are echoed from where they act, each as a metric of a training step.
LEARNING_RATE = "actor_rollout_ref.actor.optim.lr"
MINI_BATCH = "actor_rollout_ref.actor.ppo_mini_batch_size"
RATIO_LOW, RATIO_HIGH = "actor_rollout_ref.actor.clip_ratio_low", "actor_rollout_ref.actor.clip_ratio_high"
OUTSIDE_SHARE = "actor_rollout_ref.actor.policy_loss.outside_share"
TEMPERATURE = "actor_rollout_ref.rollout.temperature"
SAMPLES_OF_PROMPT = "actor_rollout_ref.rollout.n"
ROLLOUT_WEIGHTS = "algorithm.rollout_correction.rollout_is"
ROLLOUT_BOUNDS = "algorithm.rollout_correction.rollout_is_threshold"
ROLLOUT_BYPASS = "algorithm.rollout_correction.bypass_mode"
# DAPO's overlong shaping, a key that verl's configuration does not have; and a sample's reward before it.
OVERLONG_BUFFER, UNSHAPED_REWARD = "trainer.overlong_buffer", "unshaped_reward"
ECHOES = {
    LEARNING_RATE: "setting/lr",  # of the optimizer's parameter groups, before any schedule
    MINI_BATCH: "setting/mini_batch",  # samples that the worker was given, by updates and by samples a prompt
    RATIO_LOW: "loss/clip_low",  # what the loss was called with
    RATIO_HIGH: "loss/clip_high",
    OUTSIDE_SHARE: "loss/outside_share",
    TEMPERATURE: "setting/temperature",  # of the requests to vLLM
    SAMPLES_OF_PROMPT: "setting/samples_per_prompt",  # requests to vLLM of each prompt
    OVERLONG_BUFFER: "setting/overlong_buffer",  # of the rewards that were shaped
}
# Of what the loss was given: weights for the mismatch between rollout and policy, the rollout's own log-probabilities
# as the old ones, or neither.
CORRECTION_ECHO = "loss/rollout_correction/"
# Key of verl's `trainer`: which others the trainer is to report of the configuration that it runs with.
ECHO_KEY = "echo"


def echo(key: str, value: Any) -> dict[str, float]:
    """A setting as a metric: a number under its key, anything else as 1 under key and value.

    >>> echo("a.b", 3), echo("a.c", True), echo("a.d", "cosine")
    ({'setting/a.b': 3.0}, {'setting/a.c/True': 1.0}, {'setting/a.d/cosine': 1.0})
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {f"setting/{key}": float(value)}
    return {f"setting/{key}/{value}": 1.0}
