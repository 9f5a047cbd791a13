"""Against a double integral, and by quadrature over what the share is seen as: levels hold at all that Holm uses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from reports.statistics.two_variances import behrens_fisher_p, critical_value, freedom_of_sum, p_of_sum

# Of single tests, of six registered pairs, of eight arms with each other, and beyond.
_LEVELS = (0.05, 0.05 / 2, 0.05 / 6, 0.05 / 28, 0.001)


def _slow_behrens_fisher_p(x: float, share: float, few: float, many: float) -> float:
    """The sum exceeds x: over the second t, the chance that the first exceeds what is left."""

    def chance(second: float) -> float:
        rest = math.sqrt(1 - share) * second
        beyond = stats.t.sf((x - rest) / math.sqrt(share), few) + stats.t.cdf((-x - rest) / math.sqrt(share), few)
        return float(stats.t.pdf(second, many) * beyond)

    return float(integrate.quad(chance, -np.inf, np.inf, epsabs=0, epsrel=1e-9, limit=400)[0])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    x=st.floats(0.5, 30),
    share=st.floats(0.02, 0.98),
    few=st.sampled_from([1.0, 2.0, 4.0, 16.0]),
    many=st.sampled_from([3.0, 29.0, 559.0]),
)
def test_the_tail_is_that_of_a_sum_of_two_t(x: float, share: float, few: float, many: float) -> None:
    # The slow integral is good to about 1e-8 where a tail is far out.
    assert behrens_fisher_p(x, share, few, many) == pytest.approx(_slow_behrens_fisher_p(x, share, few, many), rel=1e-6)


def _sizes(level: float, few: float) -> np.ndarray:
    """Chance that a true null is rejected, over the level, for true shares from 0.02 to 0.999 of a variance that is
    known but for that share, which is seen with few degrees of freedom.
    """
    true = np.array([0.02, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999])[:, None]
    rho = true / (1 - true)
    # Midpoints that lie close together where the estimate is far too small, which is where nulls are rejected.
    middle = (np.arange(3000) + 0.5) / 3000
    chance, weight = middle**3, 3 * middle**2 / 3000
    estimate = rho * stats.chi2.ppf(chance, few) / few
    places = np.linspace(0, 1, 101) ** 2  # the critical value rises as the root of the share
    critical = [critical_value(level=level, share=float(share), few=few, many=1e6) for share in places]
    half = np.interp(estimate / (estimate + 1), places, critical) * np.sqrt(estimate + 1)
    return np.asarray(2 * special.ndtr(-half / np.sqrt(1 + rho)) @ weight / level)


@pytest.mark.parametrize("few", [2.0, 3.0, 4.0, 16.0])
@pytest.mark.parametrize("level", _LEVELS)
def test_from_three_seeds_on_every_level_is_kept(level: float, few: float) -> None:
    sizes = _sizes(level, few)
    assert sizes.max() < 1.15
    if level == 0.05:
        # Intervals are no wider than they have to be; with the harmonic mean the smallest would be 0.74.
        assert sizes.min() > 0.85


@pytest.mark.parametrize("level", _LEVELS)
def test_two_seeds_reject_hardly_more_than_the_level(level: float) -> None:
    # Cochran and Cox's, which two seeds have at 5 %, would be 2.3 at 0.05 / 6 and 5.7 at 0.001.
    assert _sizes(level, 1.0).max() < (1.25 if level == 0.05 else 1.13)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    share=st.floats(0, 1),
    few=st.sampled_from([1.0, 2.0, 4.0, 16.0]),
    many=st.floats(5, 1000),
    level=st.floats(1e-6, 0.5),
)
def test_interval_and_test_agree(share: float, few: float, many: float, level: float) -> None:
    freedom = freedom_of_sum(share=share, few=few, many=many)
    assert min(few, many) * (1 - 1e-9) <= freedom <= (few + many) * (1 + 1e-6)
    sum_of = {"share": share, "few": few, "many": many}
    critical = critical_value(level=level, **sum_of)
    assert p_of_sum(t=critical, **sum_of) == pytest.approx(level, rel=1e-6)
    assert p_of_sum(t=-critical * 1.1, **sum_of) < level
    assert critical_value(level=0.05, **sum_of) == pytest.approx(special.stdtrit(freedom, 0.975), rel=1e-6)


def test_the_ends_are_students() -> None:
    assert freedom_of_sum(share=1.0, few=1.0, many=29.0) == pytest.approx(1.0)
    assert freedom_of_sum(share=0.0, few=1.0, many=29.0) == pytest.approx(29.0)
    for t in (0.5, 3.0, 40.0):
        assert p_of_sum(t=t, share=1.0, few=1.0, many=29.0) == pytest.approx(2 * stats.t.sf(t, 1))
        assert p_of_sum(t=t, share=0.0, few=1.0, many=29.0) == pytest.approx(2 * stats.t.sf(t, 29))
    assert p_of_sum(t=0.0, share=0.5, few=1.0, many=29.0) == 1.0
    assert p_of_sum(t=1e200, share=0.5, few=4.0, many=29.0) == pytest.approx(0.0, abs=1e-100)


def test_with_two_seeds_the_critical_value_at_5_per_cent_is_cochrans() -> None:
    critical = special.stdtrit(freedom_of_sum(share=0.3, few=1.0, many=29.0), 0.975)
    assert critical == pytest.approx(0.3 * stats.t.ppf(0.975, 1) + 0.7 * stats.t.ppf(0.975, 29), rel=1e-9)
