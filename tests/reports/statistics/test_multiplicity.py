"""Corrections for many comparisons, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.statistics.multiplicity import adjust, benjamini_hochberg, holm


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


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg(p_values=[0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert benjamini_hochberg(p_values=[math.nan, 0.04]) == pytest.approx([math.nan, 0.04], nan_ok=True)


def test_planned_and_exploratory_are_families_of_their_own() -> None:
    adjusted = adjust(p_values=[0.01, 0.01, 0.04, 0.03], planned=[True, False, True, False])
    assert adjusted == pytest.approx([0.02, 0.02, 0.04, 0.03])
    assert adjust(p_values=[], planned=np.zeros(0, bool)).size == 0
