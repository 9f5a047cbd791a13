r"""The recovery fraction (C - B)/(A - B): how much of the accuracy gap between two arms a third one closes.

A ratio of two differences that share arms, problems and seeds; its error is not symmetric and has no bound where the
gap is not established. Fieller's interval (Fieller 1954) holds every r that the data do not reject, those for which

.. math:: |\bar n - r \bar d| \le t_{0.975,\nu} \sqrt{\Sigma_{nn} - 2 r \Sigma_{nd} + r^2 \Sigma_{dd}},
   \qquad n = C - B, \; d = A - B,

with the covariance and degrees of freedom of `reports.statistics.crossed` (over seeds and problems), so that it is the
inversion of the same paired test. The percentile bootstrap stands beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from reports.statistics.bootstrap import RESAMPLES, bootstrap_means, percentile_interval
from reports.statistics.crossed import CrossedEstimate, crossed_mean
from reports.statistics.two_variances import LEVEL
from reports.statistics.verdicts import by_benchmark, paired_shares

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recovery:
    """A recovery fraction against the share that was to be reached.

    Attributes:
        value: (C - B)/(A - B); NaN where undefined.
        low: Lower end of Fieller's interval; NaN where undefined.
        high: Upper end.
        bootstrap_low: Lower end of the bootstrap's percentile interval; NaN where undefined.
        bootstrap_high: Upper end.
        gap: A - B.
        verdict: ``undefined``, ``reached`` (all of the interval above that share), ``missed`` (all below), ``open``.
        reason: Why it is undefined; else empty.
    """

    value: float
    low: float
    high: float
    bootstrap_low: float
    bootstrap_high: float
    gap: CrossedEstimate
    verdict: str
    reason: str


def recovery_fraction(
    *,
    upper: Sequence[npt.ArrayLike],
    lower: Sequence[npt.ArrayLike],
    candidate: Sequence[npt.ArrayLike],
    at_least: float,
    resamples: int = RESAMPLES,
) -> Recovery:
    """Recovery of the gap between two arms by a candidate, on the same seeds and problems.

    Args:
        upper: Shares (S, G_b) of arm A on each benchmark.
        lower: Shares of arm B.
        candidate: Shares of arm C.
        at_least: The share that was to be reached, stated before the data were seen.
        resamples: Draws of the bootstrap; 0 for none.

    Returns:
        Undefined where A > B is not established at this level: the interval would have no end.
    """
    a, b, c = ([np.atleast_2d(np.asarray(block, float)) for block in arm] for arm in (upper, lower, candidate))
    top = [x - y for x, y in zip(c, b, strict=True)]
    bottom = [x - y for x, y in zip(a, b, strict=True)]
    gap = crossed_mean(blocks=bottom)

    def undefined(reason: str) -> Recovery:
        nothing = math.nan
        return Recovery(nothing, nothing, nothing, nothing, nothing, gap, "undefined", reason)

    if not gap.low > 0:
        if gap.high < 0:
            return undefined("the arm that should be better is worse")
        return undefined(f"the gap is not established (p = {gap.p:.2g})")
    ratio = crossed_mean(blocks=top).value / gap.value
    at_ratio = crossed_mean(blocks=[x - ratio * y for x, y in zip(top, bottom, strict=True)])
    # Where C is B, or A, on every problem, nothing varies around the ratio.
    known = math.isfinite(at_ratio.degrees_of_freedom)
    freedom = at_ratio.degrees_of_freedom if known else gap.degrees_of_freedom
    ends = _fieller(top, bottom, float(special.stdtrit(freedom, (1 + LEVEL) / 2)))
    if ends is None:
        return undefined("the gap is not established at the candidate's degrees of freedom")
    low, high = ends
    bootstrap = (math.nan, math.nan)
    if resamples:
        draws = bootstrap_means(blocks=[np.stack(arms) for arms in zip(a, b, c, strict=True)], resamples=resamples)
        gaps = draws[:, 0] - draws[:, 1]
        # A draw without a gap is one with no finite recovery: it belongs to neither end, so to both.
        ratios = (draws[:, 2] - draws[:, 1]) / np.where(gaps > 0, gaps, np.nan)
        bootstrap = percentile_interval(draws=ratios) if (gaps > 0).all() else (-math.inf, math.inf)
    verdict = "reached" if low >= at_least else "missed" if high < at_least else "open"
    return Recovery(ratio, low, high, bootstrap[0], bootstrap[1], gap, verdict, "")


def arm_recovery(*, verdicts: pd.DataFrame, upper: str, lower: str, candidate: str, at_least: float) -> Recovery:
    """`recovery_fraction` of arms by name, on the seeds and problems that all three have.

    Args:
        verdicts: From `verdict_counts`.
        upper: Arm A.
        lower: Arm B.
        candidate: Arm C.
        at_least: The share that was to be reached, stated before the data were seen.

    Raises:
        ValueError: The three have no problem in common.
    """
    tables, _ = paired_shares(benchmarks=by_benchmark(verdicts=verdicts), arms=[upper, lower, candidate])
    if not tables:
        raise ValueError(f"{upper}, {lower} and {candidate} have no problem in common")
    a, b, c = ([table.values[place] for table in tables] for place in range(3))
    return recovery_fraction(upper=a, lower=b, candidate=c, at_least=at_least)


def _fieller(top: list[Floats], bottom: list[Floats], critical: float) -> tuple[float, float] | None:
    """The ends of the set above; None where it has none."""
    means = np.array([np.mean([block.mean() for block in part]) for part in (top, bottom)])
    (nn, nd), (_, dd) = _covariance(top, bottom)
    square = critical**2
    a = means[1] ** 2 - square * dd
    half_b = means[0] * means[1] - square * nd
    root = half_b**2 - a * (means[0] ** 2 - square * nn)
    if a <= 0 or root < 0:
        return None
    return float((half_b - math.sqrt(root)) / a), float((half_b + math.sqrt(root)) / a)


def _covariance(top: list[Floats], bottom: list[Floats]) -> Floats:
    """Covariance (2, 2) of the two means: `crossed_mean`'s variance, with matrices in place of squares."""
    pairs = [np.stack(blocks) for blocks in zip(top, bottom, strict=True)]
    seeds, count = pairs[0].shape[1], len(pairs)
    problems = np.zeros((2, 2))
    for pair in pairs:
        size = pair.shape[2]
        of_problems = pair.mean(axis=1)
        problems += np.cov(of_problems) / size
        if seeds > 1:
            rest = pair - of_problems[:, None] - pair.mean(axis=2)[:, :, None] + pair.mean(axis=(1, 2))[:, None, None]
            flat = rest.reshape(2, -1)
            problems -= flat @ flat.T / ((seeds - 1) * (size - 1) * seeds * size)
    # The part of problems is kept positive, as in one dimension.
    values, vectors = np.linalg.eigh(problems / count**2)
    total = (vectors * np.maximum(values, 0.0)) @ vectors.T
    if seeds > 1:
        total = total + np.cov(np.mean([pair.mean(axis=2) for pair in pairs], axis=0)) / seeds
    return np.asarray(total)
