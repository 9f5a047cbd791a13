"""The mean of scores from 0 to 1 over seeds and problems, with an interval that stays between 0 and 1.

A score is what one problem gets with one training seed: its share of right samples (avg@k), its chance that one of k
samples is right (pass@k), or that the most frequent answer of k is (maj@k).
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.statistics.crossed import CrossedEstimate, crossed_mean
from reports.statistics.two_variances import LEVEL

Floats = npt.NDArray[np.float64]
# Scores no farther from 0 or 1 are rounding of them.
_NOTHING = 1e-12


def mean_share(*, values: npt.ArrayLike) -> CrossedEstimate:
    r"""`crossed_mean` of scores, with an interval that knows how skewed the problems are, cut to [0, 1].

    Where most problems are all wrong, a few right ones make both the mean and its standard error, so that a mean that
    came out low comes with an interval that is too short. Hall's monotone transformation takes the skewness out (Hall
    1992, "On the Removal of Skewness by Transformation", J. R. Statist. Soc. B 54, 221-228): with the skewness a of the
    mean,

    .. math:: a = \frac{\hat m_3}{G^2 SE^3}, \qquad
       g(T) = T + \tfrac a3 T^2 + \tfrac{a^2}{27} T^3 + \tfrac a6, \qquad
       \mu \in \left[\hat\mu - SE\,g^{-1}(t),\ \hat\mu - SE\,g^{-1}(-t)\right], \qquad
       g^{-1}(x) = \tfrac3a\left(\sqrt[3]{1 + a (x - a/6)} - 1\right),

    with :math:`\hat m_3` the third central moment of the problems' means (over seeds), t Student's quantile. The error
    of coverage is of order 1/G, where that of :math:`\hat\mu \pm t\,SE` is of order :math:`1/\sqrt G`. Without skewness
    it is that interval. It is wider than Wilson's with an effective number of samples, which covers 91 % of 30 problems
    at 7 %.

    Where every score is 0, or every one is 1, the spread is 0 and says nothing. The interval's inner end is then exact:
    a problem's score is 0 with a chance of at most :math:`1 - \mu`, so a mean above :math:`1 - 0.025^{1/G}` would have
    been seen.

    Args:
        values: Scores of S seeds on G problems, (S, G), or of one seed (G,).

    Returns:
        Shares from 0 to 1; both ends are NaN with one problem, or where the scores do not vary between 0 and 1.

    Raises:
        ValueError: No score.
    """
    scores = np.atleast_2d(np.asarray(values, dtype=np.float64))
    estimate = crossed_mean(blocks=[scores])
    low, high = _ends(estimate, scores.mean(axis=0))
    if scores.shape[1] > 1:
        unseen = 1.0 - ((1.0 - LEVEL) / 2) ** (1.0 / scores.shape[1])
        if scores.max() < _NOTHING:
            low, high = 0.0, unseen
        elif scores.min() > 1.0 - _NOTHING:
            low, high = 1.0 - unseen, 1.0
    return dataclasses.replace(estimate, low=low, high=high)


def _ends(estimate: CrossedEstimate, problems: Floats) -> tuple[float, float]:
    """Hall's interval from the problems' means (G,)."""
    if not estimate.standard_error > 0:
        return math.nan, math.nan
    third = float(np.mean((problems - problems.mean()) ** 3))
    skewness = third / (len(problems) ** 2 * estimate.standard_error**3)
    t = float(special.stdtrit(estimate.degrees_of_freedom, (1 + LEVEL) / 2))
    low = estimate.value - estimate.standard_error * _inverse(t, skewness)
    high = estimate.value - estimate.standard_error * _inverse(-t, skewness)
    return max(0.0, low), min(1.0, high)


def _inverse(x: float, skewness: float) -> float:
    """The inverse of g; without skewness the identity, which the formula reaches as 0/0."""
    if abs(skewness) < 1e-7:
        return x
    return float(3.0 / skewness * (np.cbrt(1.0 + skewness * (x - skewness / 6.0)) - 1.0))
