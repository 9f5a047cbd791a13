"""How large a difference is, and whether it is small enough to count as none."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special
from statsmodels.stats.proportion import proportion_effectsize

from reports.statistics.crossed import CrossedEstimate, crossed_mean
from reports.statistics.two_variances import LEVEL


def cohen_h(*, treated: float, reference: float) -> float:
    r"""Cohen's h, :math:`2\arcsin\sqrt{p_1} - 2\arcsin\sqrt{p_2}` (Cohen 1988; statsmodels ``proportion_effectsize``).

    A difference of shares on a scale on which its noise is alike everywhere; 0.2 is called small, 0.5 medium.
    """
    return float(proportion_effectsize(treated, reference))


def odds_ratio(*, treated: Sequence[npt.ArrayLike], reference: Sequence[npt.ArrayLike]) -> tuple[float, float, float]:
    r"""Marginal odds ratio of being right, given the benchmark, with an interval over seeds and problems.

    In one benchmark :math:`\theta = logit(p_1) - logit(p_2)` of the mean shares; of several, the mean of their
    :math:`\theta`. Its interval is that of `crossed_mean` on the influence of each seed and problem,

    .. math:: \psi_{sg} = \theta + \frac{x_{sg} - p_1}{p_1 (1 - p_1)} - \frac{y_{sg} - p_2}{p_2 (1 - p_2)}

    (delta method), exponentiated. It is population-averaged, as in GEE, and not that of a single problem.

    Args:
        treated: Shares (S, G_b) of each benchmark.
        reference: The same seeds and problems.

    Returns:
        The ratio and its interval's ends; NaN where an accuracy is 0 or 1, ends also where no problem differs.
    """
    influences = []
    for one, other in zip(treated, reference, strict=True):
        x, y = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
        p, q = float(x.mean()), float(y.mean())
        if not (0 < p < 1 and 0 < q < 1):
            return math.nan, math.nan, math.nan
        influences.append(special.logit(p) - special.logit(q) + (x - p) / (p * (1 - p)) - (y - q) / (q * (1 - q)))
    log_ratio = crossed_mean(blocks=influences)
    if log_ratio.identical:
        return 1.0, math.nan, math.nan
    return math.exp(log_ratio.value), math.exp(log_ratio.low), math.exp(log_ratio.high)


def probability_of_improvement(
    *, treated: Sequence[npt.ArrayLike], reference: Sequence[npt.ArrayLike]
) -> tuple[float, float, float]:
    r"""Chance that a problem is answered better by one arm than by another with the same seed; a tie is one half.

    .. math:: \hat P = \frac{1}{SG} \sum_{sg} \left( 1[x_{sg} > y_{sg}] + \tfrac12\,1[x_{sg} = y_{sg}] \right)

    of shares x and y on each benchmark, and of several the mean of theirs: the probability of improvement of Agarwal et
    al. (2021, arXiv 2108.13264, section 4.3), with problems in the place of tasks, paired by seed, and with the
    interval of `crossed_mean` in the place of a bootstrap over seeds alone. It depends on the number of samples: with
    fewer, ties and chance draw it to one half.

    Args:
        treated: Shares (S, G_b) of each benchmark.
        reference: The same seeds and problems.

    Returns:
        The chance and its interval's ends, cut to [0, 1]; ends are NaN where none can be given.
    """
    above = [
        np.sign(np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)) / 2.0
        for one, other in zip(treated, reference, strict=True)
    ]
    found = crossed_mean(blocks=above)
    low, high = np.clip([0.5 + found.low, 0.5 + found.high], 0.0, 1.0)
    return 0.5 + found.value, float(low), float(high)


def equivalence_p(*, estimate: CrossedEstimate, margin: float) -> float:
    r"""Two one-sided t tests (TOST): is the difference within the margin, stated beforehand, on both sides?

    .. math:: p = \max\{P(T_\nu > (\bar d + m)/SE),\; P(T_\nu < (\bar d - m)/SE)\}

    Small p: equivalent. At 5 % the same as a 90 % interval inside the margin (Schuirmann 1987; Lakens 2017). "Not
    significantly different" is no evidence of equivalence; this is.

    Args:
        estimate: The difference, with its degrees of freedom.
        margin: Largest difference that does not matter, > 0, in the same unit.

    Returns:
        p; NaN where there is no standard error. Where no problem differs at all, the chance of that if the arms
        differed by the margin, :math:`0.05^{m/u}` with u the end of the interval of `crossed_mean`.

    Raises:
        ValueError: The margin is not positive.
    """
    if not margin > 0:
        raise ValueError(f"the margin of equivalence must be positive, got {margin}")
    if estimate.identical:
        return float((1.0 - LEVEL) ** (margin / estimate.high))
    if not math.isfinite(estimate.standard_error):
        return math.nan
    above = special.stdtr(estimate.degrees_of_freedom, -(estimate.value + margin) / estimate.standard_error)
    below = special.stdtr(estimate.degrees_of_freedom, (estimate.value - margin) / estimate.standard_error)
    return float(max(above, below))
