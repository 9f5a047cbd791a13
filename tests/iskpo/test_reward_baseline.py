"""KRPO's baseline against its formula, against KPO's own filter, and inside verl."""

import doctest
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from verl import DataProto
from verl.trainer.ppo.ray_trainer import compute_advantage

from iskpo import reward_baseline
from iskpo.reference.reference_filter import reference_filter
from iskpo.reward_baseline import (
    EPSILON,
    FIRST_VARIANCE,
    MEASUREMENT_NOISE,
    PROCESS_NOISE,
    kalman_advantages,
)
from iskpo.verl import loss as verl_loss

_SETTINGS = settings(max_examples=80, deadline=None, derandomize=True)
_rewards = st.lists(st.tuples(st.integers(0, 4), st.floats(-100, 100)), min_size=1, max_size=40)


def _by_formula(rewards: list[float]) -> list[float]:
    """One prompt's advantages, step by step as the formula stands."""
    estimate, variance = 0.0, FIRST_VARIANCE
    advantages = []
    for reward in rewards:
        predicted = variance + PROCESS_NOISE
        gain = predicted / (predicted + MEASUREMENT_NOISE)
        estimate = estimate + gain * (reward - estimate)
        variance = (1 - gain) * predicted
        advantages.append((reward - estimate) / (variance**0.5 + EPSILON))
    return advantages


@given(samples=_rewards)
@_SETTINGS
def test_each_prompt_is_filtered_as_the_formula_says_wherever_its_samples_stand(samples):
    groups = np.array([f"p{group}" for group, _ in samples], dtype=object)
    rewards = np.array([reward for _, reward in samples])
    advantages = kalman_advantages(rewards=rewards, groups=groups)
    for group in set(groups):
        rows = groups == group
        expected = _by_formula(rewards[rows].tolist())
        # The reference subtracts an estimate that holds 99 % of a first reward: two digits of 16 go, at 100 / 0.1.
        assert advantages[rows] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(rewards=st.lists(st.floats(-10, 10), min_size=1, max_size=20))
@_SETTINGS
def test_it_is_the_filter_that_kpo_runs_over_log_ratios(rewards):
    z = np.array([rewards])
    result = reference_filter(
        z, np.ones_like(z), q=PROCESS_NOISE, v=MEASUREMENT_NOISE, kappa=math.inf, p0=FIRST_VARIANCE, rho0=0.0
    )
    expected = (z - result.rho) / (np.sqrt(MEASUREMENT_NOISE * result.gain) + EPSILON)
    advantages = kalman_advantages(rewards=z[0], groups=np.zeros(len(rewards), dtype=int))
    assert advantages == pytest.approx(expected[0], rel=1e-9, abs=1e-9)


def test_the_authors_numbers_come_out():
    """Computed by hand with x_0 = 0, P_0 = 1, Q = 1e-5, R = 1e-2 for rewards 1, 0."""
    first_gain = 1.00001 / 1.01001
    first = (1 - first_gain) / (math.sqrt((1 - first_gain) * 1.00001) + 1e-8)
    predicted = (1 - first_gain) * 1.00001 + 1e-5
    second_gain = predicted / (predicted + 1e-2)
    second = -(1 - second_gain) * first_gain / (math.sqrt((1 - second_gain) * predicted) + 1e-8)
    advantages = kalman_advantages(rewards=np.array([1.0, 0.0]), groups=np.array(["a", "a"]))
    assert advantages == pytest.approx([first, second], rel=1e-12)


@pytest.mark.parametrize(
    ("rewards", "groups", "message"),
    [
        ([1.0, 2.0], ["a"], r"\(2,\) rewards"),
        ([math.nan], ["a"], "sample 0 of prompt a is nan"),
        ([0.0, 1.0, 2.0, -math.inf, math.nan], ["a", "b", "a", "a", "b"], r"sample 2 of prompt a is -inf.*\(2 of"),
    ],
)
def test_what_cannot_be_filtered_is_refused(rewards, groups, message):
    with pytest.raises(ValueError, match=message):
        kalman_advantages(rewards=np.array(rewards), groups=np.array(groups))


@given(samples=_rewards, seed=st.integers(0, 10**6), reward=st.sampled_from([math.nan, math.inf, 1e6]))
@_SETTINGS
def test_samples_that_do_not_count_are_as_if_they_were_not_there(samples, seed, reward):
    groups = np.array([f"p{group}" for group, _ in samples], dtype=object)
    counted = np.random.default_rng(seed).random(len(samples)) < 0.6
    rewards = np.where(counted, [reward for _, reward in samples], reward)
    advantages = kalman_advantages(rewards=rewards, groups=groups, counted=counted)
    for group in set(groups):
        expected = _by_formula(rewards[(groups == group) & counted].tolist())
        assert advantages[(groups == group) & counted] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert not advantages[~counted].any()


def test_a_rejected_response_does_not_move_the_baseline_of_the_others():
    mask = torch.ones(4, 3)
    mask[1] = 0
    advantages = []
    for rejected in (0.0, 1.0, math.nan):
        scores = torch.zeros(4, 3)
        scores[:, -1] = torch.tensor([1.0, rejected, 0.0, 1.0])
        found, _ = verl_loss.krpo_advantage(scores, mask, np.array(["p"] * 4, dtype=object))
        assert not found[1].any()
        advantages.append(found[:, 0])
    assert torch.equal(advantages[0], advantages[1])
    assert torch.equal(advantages[0], advantages[2])
    expected = _by_formula([1.0, 0.0, 1.0])
    assert advantages[0][[0, 2, 3]].tolist() == pytest.approx(expected, rel=1e-6)


def test_the_example_in_the_docstring_holds():
    results = doctest.testmod(reward_baseline, extraglobs={"np": np})
    assert (results.attempted, results.failed) == (1, 0)


def test_no_samples_have_no_advantages():
    assert kalman_advantages(rewards=np.zeros(0), groups=np.zeros(0, dtype=object)).shape == (0,)


def test_verl_finds_it_by_name_and_spreads_it_over_each_response():
    rewards, groups = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0], ["p", "q", "p", "q", "p", "q"]
    mask = torch.arange(5) < torch.tensor([5, 3, 1, 4, 2, 5])[:, None]
    scores = torch.zeros(6, 5)
    scores[torch.arange(6), mask.sum(1) - 1] = torch.tensor(rewards)
    data = DataProto.from_dict(
        tensors={"token_level_rewards": scores, "response_mask": mask.long()},
        non_tensors={"uid": np.array(groups, dtype=object)},
    )
    result = compute_advantage(data, adv_estimator="krpo", config=None).batch
    expected = kalman_advantages(rewards=np.array(rewards), groups=np.array(groups))
    spread = torch.tensor(expected, dtype=torch.float32)[:, None] * mask
    torch.testing.assert_close(result["advantages"], spread)
    torch.testing.assert_close(result["returns"], spread)
    assert result["advantages"].dtype == torch.float32
