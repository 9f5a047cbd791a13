"""Closed forms against 60-digit arithmetic, over the whole range of Q/V that is promised."""

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iskpo import (
    decouple,
    gain_table,
    realised_gain,
    sigma_table,
    steady_state_gain,
    steady_state_sigma,
    steady_state_threshold,
)

getcontext().prec = 60
RELATIVE = 1e-12

ratios = st.floats(-12, 6).map(lambda exponent: 10.0**exponent)
variances = st.floats(-8, 4).map(lambda exponent: 10.0**exponent)


def _exact_gain(q: float, v: float) -> Decimal:
    ratio = Decimal(q) / Decimal(v)
    return (-ratio + (ratio * ratio + 4 * ratio).sqrt()) / 2


def _exact_table(q: float, v: float, p0: float, length: int) -> tuple[list[Decimal], list[Decimal]]:
    variance, gains, sigmas = Decimal(p0), [], []
    for _ in range(length):
        predicted = variance + Decimal(q)
        gains.append(predicted / (predicted + Decimal(v)))
        sigmas.append((predicted + Decimal(v)).sqrt())
        variance = (1 - gains[-1]) * predicted
    return gains, sigmas


def _relative_error(value: float, exact: Decimal) -> float:
    return float(abs(Decimal(float(value)) - exact) / exact)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(ratio=ratios, v=variances, kappa=st.floats(0.01, 100))
def test_steady_state_is_accurate_over_18_decades(ratio: float, v: float, kappa: float) -> None:
    q = ratio * v
    gain = _exact_gain(q, v)
    sigma = (Decimal(v) / (1 - gain)).sqrt()
    assert _relative_error(steady_state_gain(q=q, v=v), gain) < RELATIVE
    assert _relative_error(steady_state_sigma(q=q, v=v), sigma) < RELATIVE
    assert _relative_error(steady_state_threshold(q=q, v=v, kappa=kappa), Decimal(kappa) * sigma) < RELATIVE


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ratio=ratios | st.just(0.0), v=variances, p0=st.just(0.0) | st.floats(-30, 15).map(lambda e: 10.0**e))
def test_tables_are_accurate_from_the_first_token(ratio: float, v: float, p0: float) -> None:
    q, length = ratio * v, 200
    gains, sigmas = _exact_table(q, v, p0 * v, length)
    table = gain_table(q=q, v=v, p0=p0 * v, length=length)
    assert table.dtype == np.float64
    for value, exact in zip(table, gains, strict=True):
        assert value == float(exact) == 0 or _relative_error(value, exact) < RELATIVE
    for value, exact in zip(sigma_table(q=q, v=v, p0=p0 * v, length=length), sigmas, strict=True):
        assert _relative_error(value, exact) < RELATIVE


@pytest.mark.parametrize("q", [1e-12, 1e-8, 1e-6, 1e-2])
def test_tables_stay_accurate_at_30000_tokens(q: float) -> None:
    gains, _ = _exact_table(q, 1.0, 0.0, 30_000)
    table = gain_table(q=q, v=1.0, length=30_000)
    for token in (999, 9_999, 29_999):
        assert _relative_error(table[token], gains[token]) < RELATIVE


def test_first_gain_without_initial_variance_is_q_over_q_plus_v() -> None:
    assert gain_table(q=1e-2, v=1.0, length=2) == pytest.approx([0.00990099, 0.01951267], rel=1e-6)
    assert gain_table(q=3.0, v=1.0, length=1)[0] == pytest.approx(0.75, rel=1e-15)


def test_tables_end_in_the_steady_state() -> None:
    q, v = 1e-2, 0.1
    assert gain_table(q=q, v=v, length=500)[-1] == pytest.approx(steady_state_gain(q=q, v=v), rel=1e-14)
    assert sigma_table(q=q, v=v, length=500)[-1] == pytest.approx(steady_state_sigma(q=q, v=v), rel=1e-14)


def test_numbers_of_the_paper() -> None:
    assert steady_state_gain(q=1e-2, v=1.0) == pytest.approx(0.095, abs=5e-4)
    assert steady_state_gain(q=5e-2, v=1.0) == pytest.approx(0.20, abs=5e-4)
    assert steady_state_gain(q=1e-2, v=0.1) == pytest.approx(0.270, abs=5e-4)
    assert steady_state_threshold(q=1e-2, v=1.0, kappa=3.0) == pytest.approx(3.154, abs=5e-4)
    assert steady_state_threshold(q=1e-2, v=0.1, kappa=2.0) == pytest.approx(0.740, abs=5e-4)
    assert decouple(gain=1e-3, threshold=0.3, kappa=3.0) == pytest.approx((1e-8, 0.00999), rel=1e-12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(ratio=ratios, v=variances, kappa=st.floats(0.01, 100))
def test_decouple_inverts_gain_and_threshold(ratio: float, v: float, kappa: float) -> None:
    gain = steady_state_gain(q=ratio * v, v=v)
    # 1 - K loses digits as K nears 1, whatever the formula: K is the argument.
    tolerance = 1e-12 / (1 - gain)
    threshold = steady_state_threshold(q=ratio * v, v=v, kappa=kappa)
    again = decouple(gain=gain, threshold=threshold, kappa=kappa)
    assert again == pytest.approx((ratio * v, v), rel=tolerance)


def test_arrays_in_arrays_out() -> None:
    q, v = np.array([[1e-6], [1e-2]]), np.array([1.0, 0.1, 0.01])
    gain = steady_state_gain(q=q, v=v)
    assert isinstance(gain, np.ndarray)
    assert gain.shape == (2, 3)
    assert gain[1, 1] == steady_state_gain(q=1e-2, v=0.1)
    threshold = steady_state_threshold(q=q, v=v, kappa=np.array([1.0, 2.0, math.inf]))
    assert np.isinf(threshold[:, 2]).all()
    round_trip = decouple(gain=gain[:, :2], threshold=threshold[:, :2], kappa=np.array([1.0, 2.0]))
    np.testing.assert_allclose(round_trip[0], np.broadcast_to(q, (2, 2)), rtol=1e-12)
    assert isinstance(steady_state_gain(q=1e-2, v=1.0), float)


def test_tables_and_realised_gain_take_arrays() -> None:
    q, v, p0 = np.array([[0.0], [1e-6], [1e-2]]), np.array([1.0, 0.1]), 0.3
    for table in (gain_table, sigma_table):
        whole = table(q=q, v=v, p0=p0, length=50)
        assert whole.shape == (3, 2, 50)
        np.testing.assert_array_equal(whole[2, 1], table(q=1e-2, v=0.1, p0=p0, length=50))
        np.testing.assert_array_equal(whole[0, 0], table(q=0.0, v=1.0, p0=p0, length=50))
    gain = realised_gain(lengths=[3, 0, 50], q=q, v=v, p0=p0)
    assert isinstance(gain, np.ndarray)
    assert gain[1, 0] == realised_gain(lengths=[3, 0, 50], q=1e-6, v=1.0, p0=p0)
    assert isinstance(realised_gain(lengths=[3], q=1e-6, v=1.0), float)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(any),
    ratio=ratios,
    p0=st.just(0.0) | st.floats(-30, 15).map(lambda e: 10.0**e),
)
def test_realised_gain_is_the_mean_over_all_tokens(lengths: list[int], ratio: float, p0: float) -> None:
    gains, _ = _exact_table(ratio, 1.0, p0, max(lengths))
    exact = sum((sum(gains[:length], Decimal(0)) for length in lengths), Decimal(0)) / sum(lengths)
    assert _relative_error(realised_gain(lengths=lengths, q=ratio, v=1.0, p0=p0), exact) < RELATIVE


@settings(max_examples=200, deadline=None, derandomize=True)
@given(ratio=ratios, threshold=st.floats(1e-4, 1e4), kappa=st.floats(0.01, 100))
def test_decouple_is_accurate_for_the_gain_it_is_given(ratio: float, threshold: float, kappa: float) -> None:
    gain = steady_state_gain(q=ratio, v=1.0)
    sigma = Decimal(threshold) / Decimal(kappa)
    q, v = decouple(gain=gain, threshold=threshold, kappa=kappa)
    assert _relative_error(q, (Decimal(gain) * sigma) ** 2) < RELATIVE
    assert _relative_error(v, sigma**2 * (1 - Decimal(gain))) < RELATIVE


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: steady_state_gain(q=-1.0, v=1.0), "q .*got -1.0"),
        (lambda: steady_state_gain(q=math.nan, v=1.0), "q .*got nan"),
        (lambda: steady_state_gain(q=1.0, v=0.0), "v .*got 0.0"),
        (lambda: steady_state_sigma(q=1.0, v=math.inf), "v .*got inf"),
        (lambda: steady_state_gain(q=np.array([1.0, -2.0]), v=1.0), "q .*-2"),
        (lambda: steady_state_threshold(q=1.0, v=1.0, kappa=0.0), "kappa .*got 0.0"),
        (lambda: steady_state_threshold(q=1.0, v=1.0, kappa=math.nan), "kappa .*got nan"),
        (lambda: gain_table(q=1.0, v=1.0, p0=-1.0, length=3), "p0 .*got -1.0"),
        (lambda: gain_table(q=1.0, v=1.0, length=-3), "length .*got -3"),
        (lambda: sigma_table(q=-1.0, v=1.0, length=3), "q .*got -1.0"),
        (lambda: realised_gain(lengths=[], q=1.0, v=1.0), r"lengths .*got \[\]"),
        (lambda: realised_gain(lengths=[0], q=1.0, v=1.0), r"lengths .*got \[0\]"),
        (lambda: realised_gain(lengths=[3, -1], q=1.0, v=1.0), r"lengths .*-1"),
        (lambda: decouple(gain=1.0, threshold=1.0, kappa=1.0), "gain .*got 1.0"),
        (lambda: decouple(gain=0.0, threshold=1.0, kappa=1.0), "gain .*got 0.0"),
        (lambda: decouple(gain=0.5, threshold=0.0, kappa=1.0), "threshold .*got 0.0"),
        (lambda: decouple(gain=0.5, threshold=1.0, kappa=math.inf), "kappa .*got inf"),
    ],
)
def test_values_out_of_range_are_named(call, name) -> None:
    with pytest.raises(ValueError, match=name):
        call()
