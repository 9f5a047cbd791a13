"""How a step's samples divide among the workers of a trial, and each worker's share into micro-batches.

verl gives every worker the same number of samples and cuts each share into micro-batches of one size; where either does
not go evenly it fails minutes after the start, by an assertion. A mini-batch is one update of the policy, part of what
is studied. A micro-batch is what fits into memory at once: a profile's is a limit, and may be smaller where a share is.
"""

from collections.abc import Mapping
from typing import Any

from sweep.input.errors import UserError

_ACTOR, _ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
_PROMPTS, _SAMPLES = "data.train_batch_size", f"{_ROLLOUT}.n"
_MINI_BATCH = f"{_ACTOR}.ppo_mini_batch_size"
_UPDATE, _LOG_PROBS = f"{_ACTOR}.ppo_micro_batch_size_per_gpu", f"{_ROLLOUT}.log_prob_micro_batch_size_per_gpu"
_DYNAMIC = f"{_ACTOR}.use_dynamic_bsz"
_SEQUENCE_PARALLEL = f"{_ACTOR}.ulysses_sequence_parallel_size"


def micro_batches(*, profile: Mapping[str, Any], overrides: Mapping[str, Any], gpus: int) -> dict[str, int]:
    """verl's sizes of micro-batches for so many GPUs: the largest that go evenly and are no larger than the profile's.

    Args:
        profile: Dotted verl keys of the profile.
        overrides: Those of the study, which go before the profile's.
        gpus: Of one trial.

    Returns:
        Dotted verl keys and values, in samples; without those that `overrides` sets.

    Raises:
        UserError: No size goes evenly, or one that `overrides` sets does not.
    """
    asked = {key.lstrip("+"): value for key, value in overrides.items()}
    settings = {**profile, **asked}
    if settings.get(_DYNAMIC):
        # verl then counts tokens, and any number of samples will do.
        return {}
    prompts, samples, mini_batch = (int(settings[key]) for key in (_PROMPTS, _SAMPLES, _MINI_BATCH))
    workers = gpus // int(settings.get(_SEQUENCE_PARALLEL, 1)) or 1
    if prompts % mini_batch:
        raise UserError(
            f"{prompts} prompts a step ({_PROMPTS}) do not divide into mini-batches of {mini_batch} ({_MINI_BATCH}): "
            "set either in the study's overrides"
        )
    if mini_batch * samples % workers:
        raise UserError(
            f"{mini_batch * samples} samples a mini-batch ({mini_batch} prompts, {samples} samples each) do not divide "
            f"among the {workers} workers of a trial: set ray.gpus_per_trial, or {_MINI_BATCH} and {_SAMPLES} in the "
            "study's overrides"
        )
    found: dict[str, int] = {}
    for key, share in ((_UPDATE, mini_batch * samples // workers), (_LOG_PROBS, prompts * samples // workers)):
        if key not in asked:
            found[key] = next(size for size in range(min(int(profile[key]), share), 0, -1) if share % size == 0)
        elif share % int(asked[key]):
            raise UserError(
                f"overrides.{key}: {asked[key]} does not divide a worker's {share} samples: leave it out, and the "
                "largest that does is taken"
            )
    return found
