"""The skewness-corrected interval against its definition, and what it promises for few and hard problems."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from reports.statistics.crossed import crossed_mean
from reports.statistics.simulation import Population, draw_counts
from reports.statistics.skewed_interval import skewed_interval


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
