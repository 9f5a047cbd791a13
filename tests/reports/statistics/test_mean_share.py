"""Against plain loops over problems, statsmodels' clustered fit, Hall's equation, and simulated truths."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from benchmarks.simulated_studies import Population, draw_counts
from reports.statistics.crossed import crossed_mean
from reports.statistics.curves import pass_scores
from reports.statistics.mean_share import mean_share

_COUNTS = st.lists(st.integers(0, 16), min_size=5, max_size=60).filter(lambda x: len(set(x)) > 1)
_TABLES = st.tuples(st.integers(2, 4), st.integers(5, 30), st.integers(0, 2**16))


def _by_halls_equation(values: np.ndarray) -> tuple[float, float]:
    """Both ends by root finding, with the mean's error and degrees of freedom from `crossed_mean`."""
    found = crossed_mean(blocks=[values])
    of_problems = np.atleast_2d(values).mean(axis=0)
    mean, error = of_problems.mean(), found.standard_error
    a = sum((one - mean) ** 3 for one in of_problems) / len(of_problems) ** 3 / error**3

    def g(t: float) -> float:
        return t + a / 3 * t**2 + a**2 / 27 * t**3 + a / 6

    quantile = stats.t.ppf(0.975, found.degrees_of_freedom)
    low, high = (
        mean - error * optimize.brentq(lambda t, side=side: g(t) - side, -1e3, 1e3, xtol=1e-12)
        for side in (quantile, -quantile)
    )
    return max(0.0, low), min(1.0, high)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(right=_COUNTS)
def test_ends_solve_halls_equation(right: list[int]) -> None:
    values = np.array(right) / 16
    found = mean_share(values=values)
    assert (found.low, found.high) == pytest.approx(_by_halls_equation(values), abs=1e-7)
    assert 0 <= found.low <= found.high <= 1


@settings(max_examples=30, deadline=None, derandomize=True)
@given(shape=_TABLES)
def test_ends_of_several_seeds_solve_it_with_the_crossed_error(shape: tuple[int, int, int]) -> None:
    seeds, problems, seed = shape
    random = np.random.default_rng(seed)
    values = random.binomial(8, special.expit(random.normal(size=problems) + random.normal(size=(seeds, 1)))) / 8
    values = np.broadcast_to(values, (seeds, problems))
    found, plain = mean_share(values=values), crossed_mean(blocks=[values])
    assert (found.value, found.standard_error, found.seed_sd) == (plain.value, plain.standard_error, plain.seed_sd)
    if plain.standard_error > 0:
        assert (found.low, found.high) == pytest.approx(_by_halls_equation(values), abs=1e-7)


def test_the_error_is_that_of_a_regression_clustered_by_problem() -> None:
    right = np.random.default_rng(0).integers(0, 5, size=30)
    verdicts = (np.arange(4) < right[:, None]).astype(float).ravel()
    fit = sm.OLS(verdicts, np.ones_like(verdicts)).fit(
        cov_type="cluster", cov_kwds={"groups": np.repeat(np.arange(30), 4)}
    )
    found = mean_share(values=right / 4)
    assert found.standard_error == pytest.approx(fit.bse[0], rel=1e-9)
    assert found.value == pytest.approx(fit.params[0])


def test_without_skewness_it_is_students() -> None:
    values = np.array([0.25, 0.5, 0.75] * 10)
    found, plain = mean_share(values=values), crossed_mean(blocks=[values])
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_few_hard_problems_are_covered() -> None:
    hard = Population(mean=-4.0)
    random, truth, held, plain = np.random.default_rng(3), hard.accuracy(), [], []
    for _ in range(1200):
        shares = draw_counts(random=random, population=hard, effects=(0.0,), seeds=1, problems=30, samples=16)[0] / 16
        found, symmetric = mean_share(values=shares), crossed_mean(blocks=[shares])
        held.append(found.low <= truth <= found.high)
        plain.append(symmetric.low <= truth <= symmetric.high)
    # 95 % less four Monte-Carlo errors, as in test_calibration; the symmetric interval has 88 %.
    assert np.mean(held) > 0.92
    assert np.mean(held) > np.mean(plain) + 0.04


def test_pass_at_k_over_seeds_is_covered() -> None:
    population = Population(seed=0.3)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    wrong = special.expit(-population.spread * nodes)
    truth = float(1 - wrong**8 @ weights / weights.sum())
    random, held = np.random.default_rng(4), []
    for _ in range(500):
        right = draw_counts(random=random, population=population, effects=(0.0,), seeds=3, problems=100, samples=8)[0]
        found = mean_share(values=pass_scores(correct=right, samples=np.full(right.shape, 8))[:, :, -1])
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 500)


@pytest.mark.parametrize("score", [0.0, 1.0])
@pytest.mark.parametrize("seeds", [1, 3])
def test_without_any_spread_the_bound_is_exact(score: float, seeds: int) -> None:
    found = mean_share(values=np.full((seeds, 500), score))
    inner = found.low if score else 1 - found.high
    # The smallest accuracy whose 500 problems would all be wrong with a chance of 2.5 %.
    assert inner**500 == pytest.approx(0.025, rel=1e-9)
    assert (found.high if score else found.low) == score


def test_nothing_is_said_without_a_spread_in_between_or_with_one_problem() -> None:
    for values in (np.full((2, 10), 0.5), [[0.75]], [[0.0], [1.0]]):
        found = mean_share(values=values)
        assert found.value == np.mean(values)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
