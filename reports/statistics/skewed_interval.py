r"""An interval for an accuracy that knows how skewed its problems are.

Where most problems are all wrong, a few right ones make both the mean and its standard error, so that a mean that came
out low comes with an interval that is too short. Hall's monotone transformation takes the skewness out (Hall 1992, "On
the Removal of Skewness by Transformation", J. R. Statist. Soc. B 54, 221-228): with the skewness a of the mean,

.. math:: a = \frac{\hat m_3}{G^2 SE^3}, \qquad
   g(T) = T + \tfrac a3 T^2 + \tfrac{a^2}{27} T^3 + \tfrac a6, \qquad
   \mu \in \left[\hat\mu - SE\,g^{-1}(t),\ \hat\mu - SE\,g^{-1}(-t)\right], \qquad
   g^{-1}(x) = \tfrac3a\left(\sqrt[3]{1 + a (x - a/6)} - 1\right),

with :math:`\hat m_3` the third central moment of the problems' means (over seeds), t Student's quantile. The error of
coverage is of order 1/G, where that of :math:`\hat\mu \pm t\,SE` is of order :math:`1/\sqrt G`. Without skewness it is
that interval. It is wider than Wilson's with an effective number of samples, which covers 91 % of 30 problems at 7 %.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.statistics.accuracy import LEVEL
from reports.statistics.crossed import CrossedEstimate


def skewed_interval(*, estimate: CrossedEstimate, values: npt.ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Both ends of the interval above, cut to [0, 1].

    Args:
        estimate: Of the accuracy, from `crossed_mean`.
        values: The shares it is of (S seeds, G problems).
        level: Of the interval.

    Returns:
        NaN where the estimate has no standard error above 0.
    """
    if not estimate.standard_error > 0 or not math.isfinite(estimate.degrees_of_freedom):
        return math.nan, math.nan
    problems = np.atleast_2d(np.asarray(values, dtype=np.float64)).mean(axis=0)
    third = float(np.mean((problems - problems.mean()) ** 3))
    skewness = third / (len(problems) ** 2 * estimate.standard_error**3)
    t = float(special.stdtrit(estimate.degrees_of_freedom, (1 + level) / 2))
    low = estimate.value - estimate.standard_error * _inverse(t, skewness)
    high = estimate.value - estimate.standard_error * _inverse(-t, skewness)
    return max(0.0, low), min(1.0, high)


def _inverse(x: float, skewness: float) -> float:
    """The inverse of g; without skewness the identity, which the formula reaches as 0/0."""
    if abs(skewness) < 1e-7:
        return x
    return float(3.0 / skewness * (np.cbrt(1.0 + skewness * (x - skewness / 6.0)) - 1.0))
