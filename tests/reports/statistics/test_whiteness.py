"""Whiteness against plain loops, Ljung and Box's own formula, and noise of which the answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from reports.statistics.whiteness import MOST_TESTED, SHORTEST, LjungBox, _p_value, autocorrelation, ljung_box


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), lag=st.integers(1, 4), scale=st.floats(1e-3, 1e3))
def test_autocorrelation_is_that_of_a_loop_over_pairs(seed: int, lag: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    sequences = [random.standard_normal(int(random.integers(0, 12))) for _ in range(5)]
    pairs = [(e[t], e[t + lag]) for e in sequences for t in range(len(e) - lag)]
    found, error = autocorrelation(sequences=sequences, lag=lag)
    if not pairs:
        assert math.isnan(found)
        return
    assert found == pytest.approx(sum(a * b for a, b in pairs) / sum(0.5 * (a * a + b * b) for a, b in pairs), rel=1e-9)
    assert -1 - 1e-12 <= found <= 1 + 1e-12
    scaled = autocorrelation(sequences=[-scale * e for e in sequences], lag=lag)
    assert scaled == pytest.approx((found, error), rel=1e-9, nan_ok=True)


def test_its_error_is_how_far_it_strays_also_with_heavy_tails() -> None:
    found, errors = [], []
    for seed in range(200):
        random = np.random.default_rng(seed)
        sequences = [random.lognormal(0, 0.5) * random.standard_normal(30) for _ in range(60)]
        ratio, error = autocorrelation(sequences=sequences, lag=1)
        found.append(ratio)
        errors.append(error)
    # White: no lag. Of 200 draws a standard deviation is known to 5 %.
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(200)
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.2)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), length=st.integers(SHORTEST, 80))
def test_the_test_is_that_of_ljung_and_box(seed: int, length: int) -> None:
    e = np.random.default_rng(seed).standard_normal(length)
    lags, deviation = min(10, length // 5), e - e.mean()
    total = 0.0
    for lag in range(1, lags + 1):
        r = sum(deviation[t] * deviation[t + lag] for t in range(length - lag)) / sum(deviation**2)
        total += r * r / (length - lag)
    expected = chi2.sf(length * (length + 2) * total, lags)
    assert _p_value(e) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_white_noise_is_refused_as_rarely_as_it_should_and_a_walk_always() -> None:
    random = np.random.default_rng(0)
    shares = [ljung_box(sequences=[random.standard_normal(60) for _ in range(100)]).refused for _ in range(10)]
    assert np.mean(shares) == pytest.approx(0.05, abs=0.02)  # 1,000 tests: 5 % to 0.7 %
    assert ljung_box(sequences=[np.cumsum(random.standard_normal(60)) for _ in range(20)]) == LjungBox(20, 1.0)


def test_short_and_constant_sequences_are_left_out_and_of_many_some_are_tested() -> None:
    random = np.random.default_rng(0)
    short, constant = random.standard_normal(SHORTEST - 1), np.ones(50)
    assert math.isnan(ljung_box(sequences=[short, constant]).refused)
    many = [random.standard_normal(SHORTEST) for _ in range(3 * MOST_TESTED)]
    assert ljung_box(sequences=[short, *many]).tested == MOST_TESTED
