"""Many comparisons: Holm for those planned beforehand, Benjamini-Hochberg for those that were only looked at."""

import numpy as np
import numpy.typing as npt
from statsmodels.stats.multitest import multipletests

Floats = npt.NDArray[np.float64]


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


def _corrected(p_values: npt.ArrayLike, method: str) -> Floats:
    """By a method of statsmodels."""
    adjusted = np.array(p_values, dtype=np.float64)
    tested = np.isfinite(adjusted)
    if tested.any():
        adjusted[tested] = multipletests(adjusted[tested], method=method)[1]
    return adjusted
