"""Against the paired t test, a plain loop, and a simulated truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.statistics.crossed import crossed_mean
from reports.statistics.two_variances import freedom_of_sum

_SIZES = st.tuples(st.integers(2, 5), st.integers(2, 12), st.integers(0, 2**16))


def _table(seeds: int, problems: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(seeds, 1)) * 0.3 + random.normal(size=problems) + random.normal(size=(seeds, problems))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(shares=st.lists(st.integers(-4, 4), min_size=2, max_size=20).filter(lambda shares: len(set(shares)) > 1))
def test_one_seed_is_the_paired_t_test(shares: list[int]) -> None:
    values = np.array(shares) / 4
    ours, theirs = crossed_mean(blocks=[values]), stats.ttest_1samp(values, 0.0)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-8, abs=1e-12)
    ends = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((ends.low, ends.high), abs=1e-9)
    assert math.isnan(ours.seed_sd)


def _by_the_definition(y: np.ndarray) -> tuple[float, float]:
    """Variance and degrees of freedom in loops, from the formula at the top of the file."""
    seeds, problems = y.shape
    mean = sum(y[s, g] for s in range(seeds) for g in range(problems)) / (seeds * problems)
    rows = [sum(y[s]) / problems for s in range(seeds)]
    columns = [sum(y[:, g]) / seeds for g in range(problems)]
    of_seeds = problems * sum((row - mean) ** 2 for row in rows) / (seeds - 1)
    of_problems = seeds * sum((column - mean) ** 2 for column in columns) / (problems - 1)
    rest = sum((y[s, g] - rows[s] - columns[g] + mean) ** 2 for s in range(seeds) for g in range(problems))
    rest /= (seeds - 1) * (problems - 1)
    first, second = of_seeds / (seeds * problems), max(0.0, of_problems - rest) / (seeds * problems)
    share = first / max(first + second, rest / (seeds * problems))
    # Two seeds have a rule of their own, with tests of its own.
    return max(first + second, rest / (seeds * problems)), freedom_of_sum(share=share, few=seeds - 1, many=problems - 1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(size=_SIZES)
def test_several_seeds_follow_the_definition(size: tuple[int, int, int]) -> None:
    y = _table(*size)
    variance, freedom = _by_the_definition(y)
    ours = crossed_mean(blocks=[y])
    assert ours.standard_error**2 == pytest.approx(variance, rel=1e-9)
    assert ours.degrees_of_freedom == pytest.approx(freedom, rel=1e-9)
    assert (ours.p < 0.05) == (abs(y.mean()) / math.sqrt(variance) > stats.t.ppf(0.975, freedom))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert (ours.low, ours.high) == pytest.approx((y.mean() - half, y.mean() + half))
    assert ours.seed_sd == pytest.approx(y.mean(axis=1).std(ddof=1))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(size=_SIZES, shift=st.floats(-3, 3), factor=st.floats(0.1, 10))
def test_it_moves_and_scales_with_its_values(size: tuple[int, int, int], shift: float, factor: float) -> None:
    y = _table(*size)
    one, other = crossed_mean(blocks=[y]), crossed_mean(blocks=[factor * y[:, ::-1] + shift])
    assert (other.low, other.high) == pytest.approx((factor * one.low + shift, factor * one.high + shift), abs=1e-9)


def test_components_give_back_the_variance() -> None:
    y = _table(4, 12, 3)
    ours = crossed_mean(blocks=[y])
    parts = ours.components
    assert parts.seed / 4 + parts.problem / 12 + parts.residual / 48 == pytest.approx(ours.standard_error**2)


def test_components_are_those_that_were_put_in() -> None:
    random = np.random.default_rng(5)
    seeds, problems = 60, 400
    y = 0.2 * random.normal(size=(seeds, 1)) + 0.5 * random.normal(size=problems)
    y = y + random.normal(size=(seeds, problems))
    parts = crossed_mean(blocks=[y]).components
    assert parts.seed == pytest.approx(0.04, rel=0.4)
    assert parts.problem == pytest.approx(0.25, rel=0.2)
    assert parts.residual == pytest.approx(1.0, rel=0.05)


def test_benchmarks_count_alike_and_keep_their_own_spread() -> None:
    first, second = _table(3, 12, 1), _table(3, 5, 2)
    both = crossed_mean(blocks=[first, second])
    assert both.value == pytest.approx((first.mean() + second.mean()) / 2)
    assert both.problems == 17
    same = crossed_mean(blocks=[first, first])
    alone = crossed_mean(blocks=[first])
    # The same seeds move both, so their part does not shrink; problems are taken for different ones, so theirs does.
    between = first.mean(axis=1).var(ddof=1) / 3
    assert same.standard_error**2 == pytest.approx(between + (alone.standard_error**2 - between) / 2)


def test_one_seed_of_several_benchmarks_is_welch() -> None:
    first, second = _table(2, 12, 1)[:1], _table(2, 5, 2)[:1]
    ours = crossed_mean(blocks=[first, -second])
    theirs = stats.ttest_ind(first[0], second[0], equal_var=False)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert ours.degrees_of_freedom == pytest.approx(theirs.df, rel=1e-9)


def test_what_cannot_be_known_is_nan() -> None:
    shifted = crossed_mean(blocks=[np.full((3, 4), 0.25)])
    assert shifted.value == 0.25
    assert math.isnan(shifted.p)
    assert math.isnan(crossed_mean(blocks=[[[0.1], [0.2]]]).low)
    with pytest.raises(ValueError, match="same seeds"):
        crossed_mean(blocks=[np.zeros((2, 3)), np.zeros((3, 3))])


@pytest.mark.parametrize("values", [[[0, 1, 0], [1, 0, 0]], [[0.5, -0.5, 0.25, -0.25], [-0.5, 0.5, -0.25, 0.25]]])
def test_seeds_that_offset_each_other_are_not_certain(values: list[list[float]]) -> None:
    y = np.array(values) - np.mean(values)
    ours = crossed_mean(blocks=[y])
    assert not ours.identical
    rest = y - y.mean(axis=0) - y.mean(axis=1, keepdims=True) + y.mean()
    floor = (rest**2).sum() / ((y.shape[1] - 1) * y.size)
    assert ours.standard_error**2 >= floor * (1 - 1e-9) > 0
    assert ours.low < 0 < ours.high


@pytest.mark.parametrize("problems", [10, 30, 560])
def test_where_no_problem_differs_the_interval_is_the_rule_of_three(problems: int) -> None:
    ours = crossed_mean(blocks=[np.zeros((2, problems))])
    assert ours.identical
    assert ours.p == 1.0
    assert (ours.low, ours.high) == pytest.approx((-3 / problems, 3 / problems), rel=0.01)
    # A share as large as the end of the interval is seen as no problem at all in at most 5 % of samples of problems.
    assert (1 - ours.high) ** problems <= 0.05
    halves = [np.zeros((2, problems)), np.zeros((2, 2 * problems))]
    assert crossed_mean(blocks=halves).high == pytest.approx(ours.high / 2)


def test_null_data_are_hardly_ever_certain() -> None:
    random = np.random.default_rng(8)
    # One sample, two seeds, 30 problems that are mostly wrong: without a floor some have no variance at all.
    drawn = random.random((2000, 2, 2, 30)) < 0.1
    found = [crossed_mean(blocks=[one[0].astype(float) - one[1]]) for one in drawn]
    assert all(one.high > one.low for one in found)
    assert np.mean([one.p < 0.05 for one in found]) < 0.06
