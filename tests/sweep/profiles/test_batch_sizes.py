"""Whatever is handed to verl goes evenly; what cannot is refused before anything starts."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.input.errors import UserError
from sweep.profiles.batch_sizes import micro_batches
from sweep.profiles.profile import available_profiles, load_profile

_UPDATE = "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu"
_LOG_PROBS = "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu"


def _sizes(*, prompts: int, samples: int, mini: int, update: int = 10**6, log_probs: int = 10**6) -> dict[str, Any]:
    return {
        "data.train_batch_size": prompts,
        "actor_rollout_ref.rollout.n": samples,
        "actor_rollout_ref.actor.ppo_mini_batch_size": mini,
        _UPDATE: update,
        _LOG_PROBS: log_probs,
    }


@pytest.mark.parametrize("name", available_profiles())
def test_a_profile_on_one_gpu_is_left_as_it_is(name: str) -> None:
    verl = load_profile(name).verl
    assert micro_batches(profile=verl, overrides={}, gpus=1) == {key: verl[key] for key in (_UPDATE, _LOG_PROBS)}


@pytest.mark.parametrize("name", available_profiles())
@pytest.mark.parametrize("gpus", [2, 4])
def test_every_profile_runs_on_several_gpus(name: str, gpus: int) -> None:
    assert micro_batches(profile=load_profile(name).verl, overrides={}, gpus=gpus)


@given(
    steps=st.integers(1, 12),
    mini=st.integers(1, 12),
    samples=st.integers(1, 16),
    gpus=st.integers(1, 8),
    limits=st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_the_largest_that_goes_evenly(steps: int, mini: int, samples: int, gpus: int, limits: tuple[int, int]) -> None:
    profile = _sizes(prompts=steps * mini, samples=samples, mini=mini, update=limits[0], log_probs=limits[1])
    if mini * samples % gpus:
        with pytest.raises(UserError, match=f"among the {gpus} workers"):
            micro_batches(profile=profile, overrides={}, gpus=gpus)
        return
    found = micro_batches(profile=profile, overrides={}, gpus=gpus)
    for key, limit, share in (
        (_UPDATE, limits[0], mini * samples // gpus),
        (_LOG_PROBS, limits[1], steps * mini * samples // gpus),
    ):
        assert found[key] == max(size for size in range(1, limit + 1) if share % size == 0)


def test_overrides_go_first_and_must_go_evenly_themselves() -> None:
    profile = _sizes(prompts=12, samples=4, mini=3, update=12, log_probs=48)
    # Two samples a prompt leave half of each share.
    assert micro_batches(profile=profile, overrides={"actor_rollout_ref.rollout.n": 2}, gpus=1) == {
        _UPDATE: 6,
        _LOG_PROBS: 24,
    }
    assert micro_batches(profile=profile, overrides={_UPDATE: 4}, gpus=1) == {_LOG_PROBS: 48}
    with pytest.raises(UserError, match=re.escape(f"overrides.{_UPDATE}: 5 does not divide a worker's 12 samples")):
        micro_batches(profile=profile, overrides={f"+{_UPDATE}": 5}, gpus=1)
    with pytest.raises(UserError, match=r"12 prompts a step .* do not divide into mini-batches of 5"):
        micro_batches(profile=profile, overrides={"actor_rollout_ref.actor.ppo_mini_batch_size": 5}, gpus=1)


def test_sequence_parallel_gpus_are_one_worker() -> None:
    overrides = {"actor_rollout_ref.actor.ulysses_sequence_parallel_size": 4}
    sizes = _sizes(prompts=2, samples=1, mini=2, update=2, log_probs=2)
    assert micro_batches(profile=sizes, overrides=overrides, gpus=8) == {_UPDATE: 1, _LOG_PROBS: 1}


def test_sizes_that_are_counted_in_tokens_are_left_to_verl() -> None:
    overrides = {"actor_rollout_ref.actor.use_dynamic_bsz": True}
    assert micro_batches(profile=_sizes(prompts=7, samples=1, mini=3), overrides=overrides, gpus=5) == {}
