"""The predicted variance P that reported gains, deviations and thresholds stand for, each by itself.

Of one token, gain, deviation and threshold are three ways to write one number: K = P/(P + V), sigma = sqrt(P + V) and
c = kappa sqrt(P + V). So a claim about one is a claim about the others: two of an arm exclude each other where their P
do, and claims about several arms can all come from one P, which a filter that updates its variance does not have.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from reports.audit.printed import Interval, Printed
from reports.audit.reported import Gain, Reported, ReportedArm, Sigma, Threshold
from reports.data.numbers import listing, number, per_cent

# Fewer claims than this lie on one P by chance.
_FEWEST = 3


@dataclass(frozen=True)
class Implied:
    """One claim and the P that it stands for.

    Attributes:
        arm: The arm's name.
        claim: Symbol and printed number, such as ``σ ~1.02``.
        variance: All P that round to what is printed.
        source: Table and row, or section.
    """

    arm: str
    claim: str
    variance: Interval
    source: str


def excluded_by(reported: Reported, claim: Gain) -> str:
    """Deviations and thresholds of the same Q and V that no token has together with a gain, in words; or ""."""
    arm = reported.arm(claim.arm)
    own = _gain(arm, claim)
    if own is None or arm.v is None:
        return ""
    found = [
        f"{other.claim} ({other.source}) implies a gain of {_gains(other.variance, arm.v)}"
        for other in _all(reported)
        if _setting(reported, other.arm) == (arm.q, arm.v)
        and other.claim[0] != "K"
        and not other.variance.meets(own.variance)
    ]
    if not found:
        return ""
    return (
        f" By K = 1 − V/σ² the reported {listing(dict.fromkeys(found))} of the same token, which excludes the claim: "
        "no token has both."
    )


def shared(reported: Reported, claim: Gain | Sigma | Threshold) -> str:
    """That one P for all arms and tokens would make a claim true together with others, in words; or ""."""
    own = _implied(reported.arm(claim.arm), claim)
    if own is None:
        return ""
    common, fitting = _common(list(_all(reported)))
    if own not in fitting:
        return ""
    others = [f"{other.arm}'s {other.claim}" for other in fitting if (other.arm, other.claim) != (own.arm, own.claim)]
    return (
        f" A predicted variance that is not updated, P = {number(common.low, digits=3)} to "
        f"{number(common.high, digits=3)} for every arm and token, gives it and {listing(dict.fromkeys(others))} at "
        "once, by √(P + V), κ√(P + V) and P/(P + V)."
    )


def _setting(reported: Reported, name: str) -> tuple[float | None, float | None]:
    arm = reported.arm(name)
    return arm.q, arm.v


def _all(reported: Reported) -> Iterator[Implied]:
    claims: list[Gain | Sigma | Threshold] = [*reported.gains, *reported.sigmas, *reported.thresholds]
    for claim in claims:
        implied = _implied(reported.arm(claim.arm), claim)
        if implied is not None:
            yield implied


def _implied(arm: ReportedArm, claim: Gain | Sigma | Threshold) -> Implied | None:
    """The P of a claim; None where it names a token or a mean, or where the file lacks V or kappa."""
    if isinstance(claim, Gain):
        return _gain(arm, claim)
    if arm.v is None or claim.token is not None:
        return None
    if isinstance(claim, Sigma):
        return Implied(arm.name, f"σ {claim.claim.text}", _squared(claim.claim, 1.0, arm.v), claim.source)
    if claim.of is not None or arm.kappa is None or not math.isfinite(arm.kappa):
        return None
    return Implied(arm.name, f"threshold {claim.claim.text}", _squared(claim.claim, arm.kappa, arm.v), claim.source)


def _gain(arm: ReportedArm, claim: Gain) -> Implied | None:
    low, high = claim.claim.interval
    if arm.v is None or claim.token is not None or claim.of is not None or high >= 1:
        return None
    variance = Interval(*(arm.v * gain / (1 - gain) for gain in (max(low, 0.0), high)))
    return Implied(arm.name, f"K {claim.claim.text}", variance, claim.source)


def _squared(printed: Printed, scale: float, v: float) -> Interval:
    return Interval(*((end / scale) ** 2 - v for end in printed.interval))


def _gains(variance: Interval, v: float) -> str:
    """The gains of a range of P, in per cent."""
    low, high = (per_cent(max(end, 0.0) / (max(end, 0.0) + v)) for end in variance)
    return f"{low} to {high} %"


def _common(claims: list[Implied]) -> tuple[Interval, list[Implied]]:
    """The range of P on which most claims agree, and which; none where these are few or all of one arm."""
    best: list[Implied] = []
    # The most intervals meet at the lower end of one of them.
    for claim in claims:
        at = [other for other in claims if other.variance.holds(claim.variance.low)]
        best = max(best, at, key=len)
    # A P of 0 is no filter.
    if len(best) < _FEWEST or len({claim.arm for claim in best}) < 2 or max(c.variance.low for c in best) <= 0:
        return Interval(math.nan, math.nan), []
    return Interval(max(c.variance.low for c in best), min(c.variance.high for c in best)), best
