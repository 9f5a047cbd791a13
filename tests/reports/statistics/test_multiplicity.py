"""Corrections for many comparisons, by hand and against scipy's."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.statistics.crossed import crossed_mean
from reports.statistics.multiplicity import (
    adjust,
    benjamini_hochberg,
    dunnett_level,
    holm,
    simultaneous_intervals,
)


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


@settings(max_examples=8, deadline=None, derandomize=True)
@given(arms=st.integers(2, 6), level=st.floats(1e-3, 0.5))
def test_dunnett_is_the_tail_of_correlated_normals(arms: int, level: float) -> None:
    correlation = np.full((arms, arms), 0.5) + 0.5 * np.eye(arms)
    z = np.full(arms, stats.norm.isf(dunnett_level(comparisons=arms, level=level) / 2))
    inside = stats.multivariate_normal(np.zeros(arms), correlation, seed=0).cdf(z, lower_limit=-z)
    # The library integrates by quasi-random points, with an error of about 1e-5.
    assert level == pytest.approx(1 - inside, abs=2e-4)


def test_dunnett_is_scipys_where_variances_are_known() -> None:
    # So many values an arm that Student's t is normal; scipy pools one variance over all arms.
    random = np.random.default_rng(0)
    reference, *arms = random.normal(size=(4, 20_000)) + np.array([0, 0.01, 0.02, 0.03])[:, None]
    ends = stats.dunnett(*arms, control=reference, rng=np.random.default_rng(0)).confidence_interval(0.95)
    pooled = math.sqrt(np.mean([one.var(ddof=1) for one in (reference, *arms)]) * 2 / 20_000)
    critical = stats.norm.isf(dunnett_level(comparisons=3, level=0.05) / 2)
    assert critical * pooled == pytest.approx((ends.high - ends.low)[0] / 2, rel=5e-3)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(comparisons=st.integers(1, 300), level=st.floats(1e-6, 0.5))
def test_dunnett_lies_between_no_correction_and_bonferroni(comparisons: int, level: float) -> None:
    assert level / comparisons * (1 - 1e-9) <= dunnett_level(comparisons=comparisons, level=level) <= level


def test_simultaneous_intervals_are_those_of_a_smaller_level() -> None:
    random = np.random.default_rng(1)
    tables = [random.normal(0.1 * arm, 1, size=(seeds, 40)) for arm, seeds in enumerate((1, 3, 3, 1))]
    estimates = [crossed_mean(blocks=[table]) for table in tables]
    estimates += [crossed_mean(blocks=[np.zeros((2, 40))]), crossed_mean(blocks=[[0.3]])]
    ends = simultaneous_intervals(estimates=estimates)
    level = dunnett_level(comparisons=5, level=0.05)
    for table, found in zip((tables[0], tables[3]), (ends[0], ends[3]), strict=True):
        expected = stats.ttest_1samp(table[0], 0).confidence_interval(1 - level)
        assert found == pytest.approx([expected.low, expected.high])
    for table, (low, high) in zip(tables[1:3], ends[1:3], strict=True):
        # An end is where the test of that value has the level as its p.
        assert [crossed_mean(blocks=[table - end]).p for end in (low, high)] == pytest.approx([level] * 2, rel=1e-6)
    assert ends[4] == pytest.approx([math.log(level) / 40, -math.log(level) / 40])
    assert np.isnan(ends[5]).all()
    assert simultaneous_intervals(estimates=[]).shape == (0, 2)
