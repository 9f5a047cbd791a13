r"""The recovery fraction (C - B)/(A - B): how much of the accuracy gap between two arms a third one closes.

A ratio of two differences that share arms, problems and seeds; its error is not symmetric and has no bound where the
gap is not established. Fieller's interval (Fieller 1954) holds every r around the estimate that the data do not reject:

.. math:: p(n - r d) \ge 0.05, \qquad n = C - B, \; d = A - B,

by the test of `reports.statistics.crossed` (over seeds and problems), which is inverted numerically.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize

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
        gap: A - B.
        verdict: ``undefined``, ``reached`` (all of the interval above that share), ``missed`` (all below), ``open``.
        reason: Why it is undefined; else empty.
    """

    value: float
    low: float
    high: float
    gap: CrossedEstimate
    verdict: str
    reason: str


def recovery_fraction(
    *,
    upper: Sequence[npt.ArrayLike],
    lower: Sequence[npt.ArrayLike],
    candidate: Sequence[npt.ArrayLike],
    at_least: float,
) -> Recovery:
    """Recovery of the gap between two arms by a candidate, on the same seeds and problems.

    Args:
        upper: Shares (S, G_b) of arm A on each benchmark.
        lower: Shares of arm B.
        candidate: Shares of arm C.
        at_least: The share that was to be reached, stated before the data were seen.

    Returns:
        Undefined where A > B is not established at this level: the interval would have no end.
    """
    a, b, c = ([np.atleast_2d(np.asarray(block, float)) for block in arm] for arm in (upper, lower, candidate))
    top = [x - y for x, y in zip(c, b, strict=True)]
    bottom = [x - y for x, y in zip(a, b, strict=True)]
    gap = crossed_mean(blocks=bottom)

    def undefined(reason: str) -> Recovery:
        return Recovery(math.nan, math.nan, math.nan, gap, "undefined", reason)

    if not gap.low > 0:
        if gap.high < 0:
            return undefined("the arm that should be better is worse")
        return undefined(f"the gap is not established (p = {gap.p:.2g})")
    ratio = crossed_mean(blocks=top).value / gap.value
    ends = _inverted(top, bottom, ratio)
    if ends is None:
        return undefined("the gap is hardly established: the interval has no end")
    low, high = ends
    verdict = "reached" if low >= at_least else "missed" if high < at_least else "open"
    return Recovery(ratio, low, high, gap, verdict, "")


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


def _inverted(top: list[Floats], bottom: list[Floats], ratio: float) -> tuple[float, float] | None:
    """The ends of the set above, found from the ratio outwards; None where an end is out of reach."""

    def above(value: float) -> float:
        p = crossed_mean(blocks=[x - value * y for x, y in zip(top, bottom, strict=True)]).p
        # A candidate that is one of the two arms differs from this ratio by nothing but rounding.
        return (1.0 if math.isnan(p) else p) - (1 - LEVEL)

    ends = []
    for side in (-1.0, 1.0):
        widths = (side * 2.0**power for power in range(-10, 30))
        outside = next((ratio + width for width in widths if above(ratio + width) < 0), None)
        if outside is None:
            return None
        # No more digits than were looked for: 0 is 0.
        ends.append(round(float(optimize.brentq(above, ratio, outside, xtol=1e-10)), 9) + 0.0)
    return ends[0], ends[1]
