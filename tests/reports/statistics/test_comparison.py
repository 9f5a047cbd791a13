"""Against scipy's paired t test and Holm's correction by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.statistics.comparison import holm, paired_difference

_SHARES = st.tuples(st.integers(0, 4), st.integers(0, 4))


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(_SHARES, min_size=2, max_size=20))
def test_it_is_the_paired_t_test_and_changes_sign_with_its_arms(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(column) / 4 for column in zip(*pairs, strict=True))
    (estimate, p), (mirrored, p_mirrored) = (
        paired_difference(treated=a, reference=b),
        paired_difference(treated=b, reference=a),
    )
    assert estimate.value == pytest.approx(np.mean(a - b), abs=1e-12)
    assert mirrored.value == -estimate.value
    assert p_mirrored == p or math.isnan(p)
    if len(set((a - b).tolist())) > 1:
        expected = stats.ttest_rel(a, b)
        assert p == pytest.approx(expected.pvalue, rel=1e-6)
        ends = expected.confidence_interval(0.95)
        assert (estimate.low, estimate.high) == pytest.approx((ends.low, ends.high), abs=1e-9)


def test_what_cannot_be_tested_is_not() -> None:
    same, p_same = paired_difference(treated=[0.5, 1.0], reference=[0.5, 1.0])
    assert (same.low, same.high, p_same) == (0.0, 0.0, 1.0)
    shifted, p_shifted = paired_difference(treated=[0.5, 1.0, 0.75], reference=[0.25, 0.75, 0.5])
    assert shifted.value == 0.25
    assert math.isnan(shifted.low)
    assert math.isnan(p_shifted)
    with pytest.raises(ValueError, match="same problems twice"):
        paired_difference(treated=[0.5], reference=[0.5, 1.0])


def test_holm_by_hand() -> None:
    assert holm(p_values=[0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(p_values=[0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
    assert holm(p_values=[]).size == 0


@settings(max_examples=10, deadline=None)
@given(thousandths=st.lists(st.integers(0, 1000), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(thousandths: list[int]) -> None:
    p = [number / 1000 for number in thousandths]
    adjusted = holm(p_values=p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p)) + 1e-12).all()
