"""Against plain loops over problems, and against statsmodels' ordinary fit."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.analysis.arms import accuracy_over_seeds
from reports.statistics.accuracy import average_at_k, final_samples, pass_at_k
from reports.statistics.crossed import crossed_mean
from reports.statistics.verdicts import verdict_counts

_PROBLEMS = st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=2, max_size=12)
_BALANCED = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=12)


def _flat(verdicts: list[list[bool]]) -> tuple[list[bool], list[str]]:
    return [v for row in verdicts for v in row], [f"p{i}" for i, row in enumerate(verdicts) for _ in row]


@settings(max_examples=60, deadline=None)
@given(verdicts=_PROBLEMS)
def test_estimate_and_error_are_those_of_the_problem_means(verdicts: list[list[bool]]) -> None:
    correct, problem = _flat(verdicts)
    estimate = average_at_k(correct=correct, problem=problem)
    means = [sum(row) / len(row) for row in verdicts]
    value = sum(means) / len(means)
    error = math.sqrt(sum((mean - value) ** 2 for mean in means) / (len(means) * (len(means) - 1)))
    assert estimate.value == pytest.approx(value, abs=1e-12)
    assert estimate.standard_error == pytest.approx(error, abs=1e-9)
    assert estimate.problems == len(verdicts)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    if 0 < value < 1:
        half = stats.t.ppf(0.975, len(means) - 1) * error
        assert estimate.low == pytest.approx(max(0, value - half), abs=1e-8)
        assert estimate.high == pytest.approx(min(1, value + half), abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(verdicts=_BALANCED)
def test_with_equal_numbers_of_samples_weights_change_nothing(verdicts: list[list[bool]]) -> None:
    correct, problem = _flat(verdicts)
    values = np.array(correct, dtype=float)
    fit = sm.OLS(values, np.ones_like(values)).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(np.array(problem))[0]}
    )
    estimate = average_at_k(correct=correct, problem=problem)
    assert (estimate.value, estimate.standard_error) == pytest.approx((fit.params[0], fit.bse[0]), abs=1e-9)


def test_repeating_samples_does_not_narrow_the_interval() -> None:
    correct, problem = _flat([[True, False, True], [False, False, False], [True, True, True]])
    once = average_at_k(correct=correct, problem=problem)
    often = average_at_k(correct=correct * 50, problem=problem * 50)
    assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=1e-9)


@pytest.mark.parametrize("right", [False, True])
def test_without_any_spread_the_bound_is_exact(right: bool) -> None:
    correct, problem = _flat([[right] * 2] * 500)
    estimate = average_at_k(correct=correct, problem=problem)
    inner = estimate.low if right else 1 - estimate.high
    # The smallest accuracy whose 500 problems would all be wrong with a chance of 2.5 %.
    assert inner**500 == pytest.approx(0.025, rel=1e-9)
    assert (estimate.high if right else estimate.low) == float(right)


def test_one_problem_has_a_value_and_no_interval() -> None:
    estimate = average_at_k(correct=[True, False, True, True], problem=["p"] * 4)
    assert estimate.value == 0.75
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.standard_error)


@pytest.mark.parametrize(("correct", "problem"), [([], []), ([True, False], ["p", None])])
def test_a_sample_without_problem_is_refused(correct: list[bool], problem: list[str | None]) -> None:
    with pytest.raises(ValueError, match="the problem of every sample"):
        average_at_k(correct=correct, problem=problem)


@settings(max_examples=40, deadline=None)
@given(verdicts=_BALANCED, k=st.integers(1, 3))
def test_pass_at_k_is_the_share_of_all_draws_of_k(verdicts: list[list[bool]], k: int) -> None:
    correct, problem = _flat(verdicts)
    draws = [[any(draw) for draw in itertools.combinations(row, k)] for row in verdicts]
    expected = np.mean([np.mean(row) for row in draws])
    assert pass_at_k(correct=correct, problem=problem, k=k) == pytest.approx(expected)


def _samples(seed: int, step: int, shares: list[int]) -> pd.DataFrame:
    rows = [(f"p{i}", sample < right) for i, right in enumerate(shares) for sample in range(4)]
    table = pd.DataFrame(rows, columns=["problem_id", "correct"])
    return table.assign(trial=f"a_s{seed}", arm="a", seed=seed, benchmark="b", step=step)


def test_seeds_are_averaged_within_problems_and_their_spread_is_kept() -> None:
    early, first, second = _samples(0, 4, [0, 0, 0]), _samples(0, 8, [4, 2, 0]), _samples(1, 8, [4, 4, 1])
    samples = pd.concat([early, first, second], ignore_index=True)
    assert set(final_samples(samples=samples)["step"]) == {8}
    row = accuracy_over_seeds(verdicts=verdict_counts(samples=samples)).iloc[0]
    assert row["accuracy"] == pytest.approx((1 + 0.75 + 0.125) / 3)
    of_seeds = [[1, 0.5, 0], [1, 1, 0.25]]
    assert row["standard_error"] == pytest.approx(crossed_mean(blocks=[of_seeds]).standard_error)
    assert (row["problems"], row["samples"], row["seeds"]) == (3, 4, 2)
    assert (row["seed_low"], row["seed_high"]) == pytest.approx((0.5, 0.75))
    assert row["seed_sd"] == pytest.approx(0.25 / math.sqrt(2))
    assert row["pass_at_k"] == pytest.approx((2 / 3 + 1) / 2)
    assert accuracy_over_seeds(verdicts=verdict_counts(samples=samples.iloc[:0])).empty
