"""Effect sizes, equivalence and planning against statsmodels and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from reports.statistics.crossed import Components, crossed_mean
from reports.statistics.effects import cohen_h, equivalence_p, odds_ratio, probability_of_improvement
from reports.statistics.power import detectable_with, minimum_detectable_effect, next_study


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), margin=st.floats(0.01, 1.0))
def test_equivalence_is_the_tost_of_statsmodels(seed: int, margin: float) -> None:
    values = np.random.default_rng(seed).normal(0.05, 0.4, size=20)
    ours = equivalence_p(estimate=crossed_mean(blocks=[values]), margin=margin)
    assert ours == pytest.approx(DescrStatsW(values).ttost_mean(-margin, margin)[0], rel=1e-8)


def test_equivalence_is_a_90_per_cent_interval_within_the_margin() -> None:
    values = np.random.default_rng(1).normal(0.02, 0.3, size=(3, 50))
    found = crossed_mean(blocks=[values])
    half = stats.t.ppf(0.95, found.degrees_of_freedom) * found.standard_error
    margin = abs(found.value) + half
    assert equivalence_p(estimate=found, margin=margin * 1.001) < 0.05
    assert equivalence_p(estimate=found, margin=margin * 0.999) > 0.05


def test_equivalence_at_its_edges() -> None:
    # No difference on G problems is seen with a chance of about (1 - m)^G where a share m of problems would differ.
    assert equivalence_p(estimate=crossed_mean(blocks=[np.zeros(30)]), margin=0.01) == pytest.approx(
        0.99**30, abs=0.002
    )
    assert equivalence_p(estimate=crossed_mean(blocks=[np.zeros((3, 560))]), margin=0.01) < 0.005
    assert math.isnan(equivalence_p(estimate=crossed_mean(blocks=[[0.5]]), margin=0.01))
    with pytest.raises(ValueError, match="must be positive"):
        equivalence_p(estimate=crossed_mean(blocks=[np.zeros(5)]), margin=0.0)


def test_odds_ratio_by_hand() -> None:
    ratio, low, high = odds_ratio(treated=[[[0.5, 0.7, 0.6]]], reference=[[[0.2, 0.5, 0.2]]])
    assert ratio == pytest.approx((0.6 / 0.4) / (0.3 / 0.7))
    assert low < ratio < high
    opposite = odds_ratio(treated=[[[0.2, 0.5, 0.2]]], reference=[[[0.5, 0.7, 0.6]]])
    assert opposite == pytest.approx((1 / ratio, 1 / high, 1 / low))
    assert math.isnan(odds_ratio(treated=[[[1.0, 1.0]]], reference=[[[0.2, 0.5]]])[0])
    ratio, low, _ = odds_ratio(treated=[[[0.2, 0.5]]], reference=[[[0.2, 0.5]]])
    assert ratio == 1.0
    assert math.isnan(low)


def test_odds_ratio_interval_is_the_jackknifes() -> None:
    random = np.random.default_rng(3)
    x, y = random.beta(2, 2, size=200), random.beta(2, 3, size=200)
    _, low, high = odds_ratio(treated=[x[None]], reference=[y[None]])

    def log_odds(p: float, q: float) -> float:
        return math.log(p / (1 - p)) - math.log(q / (1 - q))

    left_out = [log_odds(np.delete(x, g).mean(), np.delete(y, g).mean()) for g in range(200)]
    error = math.sqrt(199 / 200 * sum((one - np.mean(left_out)) ** 2 for one in left_out))
    half = (math.log(high) - math.log(low)) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, 199) * error, rel=0.01)


def test_cohen_h_by_hand() -> None:
    assert cohen_h(treated=0.5, reference=0.25) == pytest.approx(2 * (math.asin(math.sqrt(0.5)) - math.asin(0.5)))


@pytest.mark.parametrize("freedom", [4.0, 29.0, 559.0])
def test_detectable_effect_is_that_of_statsmodels(freedom: float) -> None:
    n = freedom + 1
    ours = minimum_detectable_effect(standard_error=1 / math.sqrt(n), degrees_of_freedom=freedom)
    theirs = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8, alternative="two-sided")
    # Ours leaves out rejections on the wrong side.
    assert ours == pytest.approx(theirs, rel=2e-3)


def test_a_plan_keeps_what_it_promises() -> None:
    parts = Components(seed=2e-4, problem=0.01, residual=0.03)
    plan = next_study(components=parts, effect=0.02, problems=[30, 100, 560, 5000])
    assert (plan["detectable"].dropna() <= 0.02).all()
    for row in plan.dropna().itertuples():
        if row.seeds > 2:
            assert detectable_with(components=parts, seeds=int(row.seeds) - 1, problems=row.problems) > 0.02
    assert plan["seeds"].dropna().is_monotonic_decreasing
    assert plan["one_seed_detectable"].is_monotonic_decreasing


def test_one_seed_cannot_plan_seeds() -> None:
    parts = crossed_mean(blocks=[np.random.default_rng(0).normal(0, 0.2, size=100)]).components
    plan = next_study(components=parts, effect=0.05, problems=[100])
    assert math.isnan(plan["seeds"][0])
    assert plan["one_seed_detectable"][0] == pytest.approx(2.83 * 0.2 / 10, rel=0.15)


def test_probability_of_improvement_by_hand() -> None:
    x, y = [[0.5, 0.25, 1.0, 0.0]], [[0.25, 0.5, 1.0, 0.0]]
    value, low, high = probability_of_improvement(treated=[x], reference=[y])
    assert value == 0.5
    expected = stats.ttest_1samp([1.0, 0.0, 0.5, 0.5], 0.5).confidence_interval(0.95)
    assert (low, high) == pytest.approx((max(0, expected.low), min(1, expected.high)))
    won = probability_of_improvement(treated=[np.full((2, 30), 0.5)], reference=[np.zeros((2, 30))])
    assert won[0] == 1.0
    assert math.isnan(won[1])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(shape=st.tuples(st.integers(1, 4), st.integers(3, 20)), seed=st.integers(0, 2**16))
def test_probability_of_improvement_counts_pairs(shape: tuple[int, int], seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.binomial(4, 0.5, size=(2, *shape)) / 4
    value, low, high = probability_of_improvement(treated=[x, x], reference=[y, x])
    wins = [(a > b) + 0.5 * (a == b) for a, b in zip(x.ravel(), y.ravel(), strict=True)]
    assert value == pytest.approx((np.mean(wins) + 0.5) / 2)
    turned = probability_of_improvement(treated=[y, x], reference=[x, x])
    assert turned == pytest.approx((1 - value, 1 - high, 1 - low), nan_ok=True)
