"""Tests of a sum of two variances against quadrature, statsmodels-free: the truth is an integral over the estimate."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from reports.statistics.two_variances import freedom_of_sum, p_of_sum


def _size(rho: float, few: float = 1.0) -> float:
    """Chance that a true null is rejected at 5 %: the variance is known but for rho of it, seen with few degrees."""
    estimate = rho * stats.chi2.ppf((np.arange(400) + 0.5) / 400, few) / few
    share = estimate / (estimate + 1)
    freedom = np.array([freedom_of_sum(share=float(part), few=few, many=1e6) for part in share])
    half = special.stdtrit(freedom, 0.975) * np.sqrt(estimate + 1)
    return float(np.mean(2 * special.ndtr(-half / math.sqrt(1 + rho))))


@pytest.mark.parametrize("rho", [0.0, 0.3, 3.0, 30.0, 1e4])
def test_two_seeds_reject_at_most_about_the_level(rho: float) -> None:
    # With the other rule it would be 9.6 % at 30; the largest of Cochran and Cox's is 6.1 %.
    assert 0.02 < _size(rho) < 0.0625


@pytest.mark.parametrize("few", [2.0, 3.0, 4.0, 9.0, 30.0])
@pytest.mark.parametrize("true_share", [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9, 0.95, 0.999])
def test_from_three_seeds_on_the_level_is_kept(few: float, true_share: float) -> None:
    # With the harmonic mean the smallest would be 3.7 %, with Satterthwaite's the largest 8 %.
    assert _size(true_share / (1 - true_share), few) == pytest.approx(0.05, abs=0.007)


@settings(max_examples=20)
@given(share=st.floats(0, 1), few=st.sampled_from([1.0, 2.0, 4.0]), many=st.floats(5, 1000))
def test_interval_and_test_agree(share: float, few: float, many: float) -> None:
    freedom = freedom_of_sum(share=share, few=few, many=many)
    assert min(few, many) * (1 - 1e-9) <= freedom <= (few + many) * (1 + 1e-6)
    critical = float(special.stdtrit(freedom, 0.975))
    assert p_of_sum(t=critical, share=share, few=few, many=many) == pytest.approx(0.05, rel=1e-6)
    assert p_of_sum(t=-critical * 1.1, share=share, few=few, many=many) < 0.05


def test_the_ends_are_students() -> None:
    assert freedom_of_sum(share=1.0, few=1.0, many=29.0) == pytest.approx(1.0)
    assert freedom_of_sum(share=0.0, few=1.0, many=29.0) == pytest.approx(29.0)
    assert p_of_sum(t=3.0, share=1.0, few=1.0, many=29.0) == pytest.approx(2 * stats.t.sf(3.0, 1))
    assert p_of_sum(t=3.0, share=0.0, few=1.0, many=29.0) == pytest.approx(2 * stats.t.sf(3.0, 29))
    assert p_of_sum(t=0.0, share=0.5, few=1.0, many=29.0) == 1.0


def test_the_critical_value_is_cochrans() -> None:
    critical = special.stdtrit(freedom_of_sum(share=0.3, few=1.0, many=29.0), 0.975)
    assert critical == pytest.approx(0.3 * stats.t.ppf(0.975, 1) + 0.7 * stats.t.ppf(0.975, 29), rel=1e-9)
