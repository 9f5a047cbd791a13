"""Numbers as printed: what they can stand for."""

import doctest
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.audit import printed as printed_module
from reports.audit.printed import Interval, parse


def test_the_examples_in_docstrings_hold():
    results = doctest.testmod(printed_module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(
    ("text", "value", "low", "high", "unit"),
    [
        ("59.60%", 0.596, 0.59595, 0.59605, "%"),
        ("~2 %", 0.02, 0.015, 0.025, "%"),
        ("2.0%", 0.02, 0.0195, 0.0205, "%"),
        ("~1.4", 1.4, 1.35, 1.45, ""),
        ("≈ 0.16", 0.16, 0.155, 0.165, ""),
        ("1.2e-7", 1.2e-7, 1.15e-7, 1.25e-7, ""),
        ("1.2 × 10⁻⁷", 1.2e-7, 1.15e-7, 1.25e-7, ""),
        ("1.2·10^-7", 1.2e-7, 1.15e-7, 1.25e-7, ""),
        ("~10^-6", 1e-6, 0.5e-6, 1.5e-6, ""),
        ("< 1e-6", 1e-6, -math.inf, 1e-6, ""),
        ("> 3", 3, 3, math.inf, ""),
        ("≤0.05", 0.05, -math.inf, 0.05, ""),
        ("↓4.65pp", -0.0465, -0.04655, -0.04645, "pp"),
        ("−0.5", -0.5, -0.55, -0.45, ""),
        ("+11.79 pp", 0.1179, 0.11785, 0.11795, "pp"),
        ("8000", 8000, 7999.5, 8000.5, ""),
        (".25", 0.25, 0.245, 0.255, ""),
        ("0.0", 0, -0.05, 0.05, ""),
    ],
)
def test_what_a_printed_number_stands_for(text, value, low, high, unit):
    found = parse(text)
    assert (found.text, found.unit) == (text, unit)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert tuple(found.interval) == pytest.approx((low, high), rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "about two", "1,000", "1.2.3", "e-6", "%", "1 %%", "nan", "inf", "1e-9999", "--1"]
)
def test_what_is_no_printed_number(text):
    with pytest.raises(ValueError, match="must be a number as printed"):
        parse(text)


def test_a_number_beyond_float64_is_refused():
    with pytest.raises(ValueError, match="float64"):
        parse("1e999")


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    value=st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-12),
    digits=st.integers(0, 8),
    form=st.sampled_from(["f", "e"]),
    percent=st.booleans(),
)
def test_a_number_lies_in_what_its_rounding_stands_for(value, digits, form, percent):
    text = f"{100 * value if percent else value:.{digits}{form}}" + "%" * percent
    assert parse(text).interval.holds(value)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(value=st.floats(1e-6, 1e6), digits=st.integers(0, 6), off=st.floats(0.51, 50), up=st.booleans())
def test_a_number_further_off_than_half_a_digit_does_not(value, digits, off, up):
    text = f"{value:.{digits}e}"
    unit = 10.0 ** (math.floor(math.log10(float(text))) - digits)
    assert not parse(text).interval.holds(float(text) + (off if up else -off) * unit)


def test_intervals_meet_at_their_ends():
    assert Interval(0.0, 1.0).meets(Interval(1.0, 2.0))
    assert not Interval(0.0, 1.0).meets(Interval(1.001, 2.0))
    assert Interval(-math.inf, 1e-6).holds(0.0)
    assert not Interval(0.43565, 0.43575).holds(0.43577)
