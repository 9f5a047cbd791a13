"""Against plain loops over problems, statsmodels' ordinary fit, and Hall's equation for skewed problems."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from benchmarks.simulated_studies import Population, draw_counts
from reports.statistics.accuracy import arm_accuracies, average_at_k, group_accuracies, skewed_interval
from reports.statistics.crossed import crossed_mean
from reports.statistics.verdicts import final_samples, verdict_counts

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
    half = stats.t.ppf(0.975, estimate.problems - 1) * fit.bse[0]
    assert estimate.value == pytest.approx(fit.params[0], abs=1e-9)
    if 0 < estimate.value < 1:
        assert estimate.low == pytest.approx(max(0, fit.params[0] - half), abs=1e-9)


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


@pytest.mark.parametrize(("correct", "problem"), [([], []), ([True, False], ["p", None])])
def test_a_sample_without_problem_is_refused(correct: list[bool], problem: list[str | None]) -> None:
    with pytest.raises(ValueError, match="the problem of every sample"):
        average_at_k(correct=correct, problem=problem)


def _samples(seed: int, step: int, shares: list[int]) -> pd.DataFrame:
    rows = [(f"p{i}", sample < right) for i, right in enumerate(shares) for sample in range(4)]
    table = pd.DataFrame(rows, columns=["problem_id", "correct"])
    return table.assign(trial=f"a_s{seed}", arm="a", seed=seed, benchmark="b", step=step)


def test_seeds_are_averaged_within_problems_and_their_spread_is_kept() -> None:
    early, first, second = _samples(0, 4, [0, 0, 0]), _samples(0, 8, [4, 2, 0]), _samples(1, 8, [4, 4, 1])
    samples = pd.concat([early, first, second], ignore_index=True)
    assert set(final_samples(samples=samples)["step"]) == {8}
    row = arm_accuracies(verdicts=verdict_counts(samples=samples)).iloc[0]
    assert row["accuracy"] == pytest.approx((1 + 0.75 + 0.125) / 3)
    of_seeds = [[1, 0.5, 0], [1, 1, 0.25]]
    assert row["standard_error"] == pytest.approx(crossed_mean(blocks=[of_seeds]).standard_error)
    assert (row["problems"], row["samples"], row["seeds"]) == (3, 4, 2)
    assert (row["seed_low"], row["seed_high"]) == pytest.approx((0.5, 0.75))
    assert row["seed_sd"] == pytest.approx(0.25 / math.sqrt(2))
    assert row["pass_at_k"] == pytest.approx((2 / 3 + 1) / 2)
    assert arm_accuracies(verdicts=verdict_counts(samples=samples.iloc[:0])).empty


@settings(max_examples=40)
@given(right=st.lists(st.integers(0, 16), min_size=5, max_size=60).filter(lambda x: len(set(x)) > 1))
def test_its_ends_solve_halls_equation(right: list[int]) -> None:
    values = np.array(right) / 16
    estimate = crossed_mean(blocks=[values])
    low, high = skewed_interval(estimate=estimate, values=values)
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    a = float(((values - mean) ** 3).mean() / (len(values) ** 2 * error**3))

    def g(t: float) -> float:
        return t + a / 3 * t**2 + a**2 / 27 * t**3 + a / 6

    quantile = stats.t.ppf(0.975, len(values) - 1)
    for end, side in ((low, quantile), (high, -quantile)):
        t = optimize.brentq(lambda t, side=side: g(t) - side, -1e3, 1e3, xtol=1e-12)
        assert end == pytest.approx(min(1.0, max(0.0, mean - error * t)), abs=1e-7)
    assert 0 <= low <= high <= 1


def test_without_skewness_it_is_students() -> None:
    values = np.array([0.25, 0.5, 0.75] * 10)
    estimate = crossed_mean(blocks=[values])
    assert skewed_interval(estimate=estimate, values=values) == pytest.approx((estimate.low, estimate.high))


def test_few_hard_problems_are_covered() -> None:
    hard = Population(mean=-4.0)
    random, truth, held, plain = np.random.default_rng(3), hard.accuracy(), [], []
    for _ in range(1200):
        shares = draw_counts(random=random, population=hard, effects=(0.0,), seeds=1, problems=30, samples=16)[0] / 16
        estimate = crossed_mean(blocks=[shares])
        low, high = skewed_interval(estimate=estimate, values=shares)
        held.append(low <= truth <= high)
        plain.append(estimate.low <= truth <= estimate.high)
    # 95 % less four Monte-Carlo errors, as in test_calibration; the symmetric interval has 88 %.
    assert np.mean(held) > 0.92
    assert np.mean(held) > np.mean(plain) + 0.04


def test_nothing_is_said_without_a_spread() -> None:
    estimate = crossed_mean(blocks=[np.zeros(10)])
    assert np.isnan(skewed_interval(estimate=estimate, values=np.zeros(10))).all()


def _subjects() -> pd.DataFrame:
    rows = [
        {
            "arm": arm,
            "problem_id": f"{subject}{problem}",
            "subject": subject,
            "level": str(1 + problem % 2),
            "correct": (problem + sample + len(arm)) % 3 == 0,
        }
        for arm in ("a", "bb")
        for subject in ("Geometry", "Algebra", "")
        for problem in range(6)
        for sample in range(4)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("by", "groups", "problems"), [("subject", ["Algebra", "Geometry"], 6), ("level", ["1", "2"], 9)]
)
def test_each_group_has_the_accuracy_of_its_rows(by, groups, problems) -> None:
    samples = _subjects()
    table = group_accuracies(samples=samples, by=by)
    assert list(zip(table["arm"], table["group"], strict=True)) == [
        (arm, group) for arm in ("a", "bb") for group in groups
    ]
    assert set(table["problems"]) == {problems}
    for _, row in table.iterrows():
        own = samples[(samples["arm"] == row["arm"]) & (samples[by] == row["group"])]
        expected = average_at_k(correct=own["correct"], problem=own["problem_id"])
        assert (row["accuracy"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)
        assert row["accuracy"] == pytest.approx(own["correct"].mean())


def test_without_groups_there_is_an_empty_table() -> None:
    for samples in (_subjects().drop(columns="level"), _subjects().assign(level=""), _subjects().assign(level=None)):
        assert group_accuracies(samples=samples, by="level").empty
