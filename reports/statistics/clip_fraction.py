r"""Interval of the share of tokens that were clipped over a run, with the sequence as the unit.

Tokens of one sequence are clipped together, so counting tokens would make intervals too narrow. The loss records for
each step s its tokens :math:`N_s` and the standard error :math:`e_s` of its share over sequences
(`iskpo.innovations.InnovationSummary.clip_fraction_error`). Steps are what they are, parts of one course of training:

.. math:: p = \frac{\sum_s N_s p_s}{\sum_s N_s}, \qquad SE^2 = \frac{\sum_s N_s^2 e_s^2}{(\sum_s N_s)^2}.

The interval is Wilson's (1927) for as many independent tokens as have this standard error,
:math:`n = p (1 - p) / SE^2` (Korn & Graubard 1998, "Confidence intervals for proportions with small expected number of
positive counts estimated from survey data"). It speaks of other sequences in the same course of training, and says
nothing of other seeds. Where few sequences hold most of what is clipped it covers 92 to 94 %
(`benchmarks/calibration.md`).
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.statistics.two_variances import LEVEL


def clip_fraction_interval(
    *, fractions: npt.ArrayLike, tokens: npt.ArrayLike, errors: npt.ArrayLike
) -> tuple[float, float]:
    """Ends of the 95 % interval of the share over all steps; NaN where a step that clipped has no standard error.

    Args:
        fractions: Share of clipped tokens in each step (S,).
        tokens: Tokens of each step (S,).
        errors: Standard error of each share over sequences (S,); of a step without a clipped token, which has none, it
            is not read.
    """
    share, size, error = (np.asarray(values, dtype=np.float64) for values in (fractions, tokens, errors))
    total = float(size.sum())
    p = float(share @ size) / total if total > 0 else math.nan
    variance = float((np.where(share > 0, error, 0.0) ** 2) @ size**2) / total**2 if total > 0 else math.nan
    if not 0.0 < p < 1.0 or not variance > 0.0:
        return math.nan, math.nan
    n, z = p * (1.0 - p) / variance, float(special.ndtri((1.0 + LEVEL) / 2.0))
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1.0 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
