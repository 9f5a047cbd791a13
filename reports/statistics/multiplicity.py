"""Many comparisons: Holm for those planned beforehand, Benjamini-Hochberg for those that were only looked at."""

import numpy as np
import numpy.typing as npt
from statsmodels.stats.multitest import multipletests

from reports.statistics.comparison import holm

Floats = npt.NDArray[np.float64]


def benjamini_hochberg(*, p_values: npt.ArrayLike) -> Floats:
    """p-values corrected so that rejecting below a bounds the expected share of false alarms among rejections by a.

    Benjamini & Hochberg (1995), statsmodels ``fdr_bh``; holds for independent and positively dependent tests, which
    comparisons against one reference arm are.

    Args:
        p_values: Uncorrected (m,); NaN, a test that was not possible, stays NaN and does not count.
    """
    adjusted = np.array(p_values, dtype=np.float64)
    tested = np.isfinite(adjusted)
    if tested.any():
        adjusted[tested] = multipletests(adjusted[tested], method="fdr_bh")[1]
    return adjusted


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
