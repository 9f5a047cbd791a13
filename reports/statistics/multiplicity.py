"""Many comparisons: Holm for those planned beforehand, Benjamini-Hochberg for those that were only looked at.

Dunnett for all arms against one reference, where intervals shall hold together.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import optimize, special
from statsmodels.stats.multitest import multipletests

from reports.statistics.crossed import CrossedEstimate
from reports.statistics.two_variances import LEVEL

Floats = npt.NDArray[np.float64]
# Between two differences from one reference, where all arms are known equally well: they share half of their variance.
_CORRELATION = 0.5
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(100)


def holm(*, p_values: npt.ArrayLike) -> Floats:
    """p-values corrected for their number (Holm 1979): bounds the chance of even one false alarm among them.

    Args:
        p_values: Uncorrected p-values (m,); NaN, a test that was not possible, stays NaN and does not count.
    """
    return _corrected(p_values, "holm")


def benjamini_hochberg(*, p_values: npt.ArrayLike) -> Floats:
    """p-values corrected so that rejecting below a bounds the expected share of false alarms among rejections by a.

    Benjamini & Hochberg (1995); holds for independent and positively dependent tests, which comparisons against one
    reference arm are.

    Args:
        p_values: As for `holm`.
    """
    return _corrected(p_values, "fdr_bh")


def adjust(*, p_values: npt.ArrayLike, planned: npt.ArrayLike) -> Floats:
    """Holm over the planned comparisons and Benjamini-Hochberg over the others: two families, apart from each other.

    Args:
        p_values: Uncorrected (m,).
        planned: Which were planned before the data were seen, boolean (m,).
    """
    values, first = np.asarray(p_values, dtype=np.float64), np.asarray(planned, dtype=np.bool_)
    adjusted = np.empty_like(values)
    adjusted[first] = holm(p_values=values[first])
    adjusted[~first] = benjamini_hochberg(p_values=values[~first])
    return adjusted


def dunnett_level(*, comparisons: int, level: float) -> float:
    r"""The level of each of m comparisons with one reference at which any of them errs in `level` of all studies.

    That level is :math:`2 \Phi(-z)` with the z at which m standard normal Z whose correlations are 1/2 have (Dunnett
    1955)

    .. math:: P(\max_j |Z_j| \ge z) = 1 - \int \varphi(u) \left[
       \Phi\!\left(\frac{z - \sqrt\rho\,u}{\sqrt{1-\rho}}\right) -
       \Phi\!\left(\frac{-z - \sqrt\rho\,u}{\sqrt{1-\rho}}\right)\right]^m du = \text{level} .

    The reference has a half of every difference's variance if arms are alike. Little hangs on it: of seven intervals,
    each reaches 2.61 standard errors with correlations of 1/2, 2.68 with none, and 2.69 with Bonferroni's correction.
    Degrees of freedom differ between comparisons, so a level is what they share, and not a quantile of t.

    Args:
        comparisons: m, 1 or more.
        level: For all together, 0 to 1.
    """
    if comparisons == 1:
        return level
    return float(optimize.brentq(lambda one: _any_of(one, comparisons) - level, level / comparisons / 2, level))


def simultaneous_intervals(*, estimates: Sequence[CrossedEstimate], level: float = 1.0 - LEVEL) -> Floats:
    """Intervals of m comparisons with one reference that miss any of the true differences in `level` of all studies.

    Args:
        estimates: The differences from the reference, on the same problems.
        level: For all together, 0 to 1.

    Returns:
        Both ends of each (m, 2); NaN where a difference has no interval, which does not count.
    """
    tested = sum(np.isfinite(one.p) for one in estimates)
    own = dunnett_level(comparisons=tested, level=level) if tested else level
    return np.array([one.ends(level=own) for one in estimates], dtype=np.float64).reshape(-1, 2)


def _any_of(p: float, comparisons: int) -> float:
    """The chance that any of m statistics exceeds the two-sided quantile of p; see `dunnett_level`."""
    own, shared = np.sqrt(1.0 - _CORRELATION), np.sqrt(_CORRELATION) * _NODES
    z = -special.ndtri(p / 2.0)
    outside = special.ndtr(-(z - shared) / own) + special.ndtr((-z - shared) / own)
    # Rounding reaches 1 where the weights are nothing.
    exceeded = -np.expm1(comparisons * np.log1p(-np.minimum(outside, 1.0 - 1e-15)))
    return float(exceeded @ _WEIGHTS / _WEIGHTS.sum())


def _corrected(p_values: npt.ArrayLike, method: str) -> Floats:
    """By a method of statsmodels."""
    adjusted = np.array(p_values, dtype=np.float64)
    tested = np.isfinite(adjusted)
    if tested.any():
        adjusted[tested] = multipletests(adjusted[tested], method=method)[1]
    return adjusted
