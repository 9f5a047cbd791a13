"""Arms against a reference arm, on the same problems.

Pairing removes what makes problems hard or easy for every arm alike (Miller 2024, arXiv 2411.00640, section 4.2). All
arms of a study are compared by `reports.statistics.compare_arms`, which with one seed and benchmark is this test.
"""

import math

import numpy as np
import numpy.typing as npt
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from reports.statistics.accuracy import LEVEL, Estimate


def paired_difference(*, treated: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[Estimate, float]:
    r"""Mean difference over problems, its 95 % t interval, and the two-sided p-value of the paired t test.

    .. math:: d_g = \bar x_g - \bar y_g, \qquad t = \bar d / (s_d / \sqrt G), \quad G - 1 \text{ degrees of freedom}

    Assumes that problems are drawn independently; with hundreds of them the mean of the differences is normal enough.

    Args:
        treated: Share of right samples of each problem (G,).
        reference: The same problems in the same order (G,).

    Returns:
        The estimate, in shares, and p. No test is possible, and interval and p are NaN, where there is one problem or
        where every problem differs by the same amount other than 0. With no difference in any problem p is 1.

    Raises:
        ValueError: Different numbers of problems, or none.
    """
    first, second = np.asarray(treated, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if first.shape != second.shape or first.size == 0:
        raise ValueError(f"a paired difference needs the same problems twice, got {first.shape} and {second.shape}")
    difference = first - second
    value = float(difference.mean())
    if not difference.any():
        return Estimate(0.0, 0.0, 0.0, 0.0, len(difference)), 1.0
    if len(difference) < 2 or np.ptp(difference) < 1e-12:
        return Estimate(value, math.nan, math.nan, math.nan, len(difference)), math.nan
    described = DescrStatsW(difference)
    low, high = described.tconfint_mean(alpha=1 - LEVEL)
    estimate = Estimate(value, float(low), float(high), float(described.std_mean), len(difference))
    return estimate, float(described.ttest_mean(0.0)[1])


def holm(*, p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """p-values corrected for their number (Holm 1979): bounds the chance of even one false alarm among them.

    Args:
        p_values: Uncorrected p-values (m,); NaN, a test that was not possible, stays NaN and does not count.
    """
    adjusted = np.array(p_values, dtype=np.float64)
    tested = np.isfinite(adjusted)
    if tested.any():
        adjusted[tested] = multipletests(adjusted[tested], method="holm")[1]
    return adjusted
