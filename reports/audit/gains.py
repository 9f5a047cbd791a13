"""Reported Kalman gains against the closed forms: is it the steady state, or a token on the way there?"""

from reports.audit.printed import Interval, Printed, Row, Verdict, compare, distance
from reports.audit.reported import Gain, Reported, ReportedArm
from reports.audit.transient import Array, Filter, fitting, mean_gains, reach
from reports.audit.variance import excluded_by, shared

_STEADY = "K∞ = (−q + √(q² + 4q))/2, q = Q/V; on the way there Kₜ = (Kₜ₋₁ + q)/(Kₜ₋₁ + q + 1), K₀ = P₀/V"
_TOKEN = "Kₜ = (Kₜ₋₁ + q)/(Kₜ₋₁ + q + 1), K₀ = P₀/V, q = Q/V"
_MEAN = f"mean of K₁ to K of the last token; {_TOKEN}"
_NAMES = {None: "", "steady_state": ", steady state", "mean": ", mean"}


def check_gains(reported: Reported) -> list[Row]:
    """One row for each reported gain.

    A claim that does not say which gain it means is compared with the steady state and, where the file holds a
    response length, with the mean over responses of that length; one of the two must round to it.
    """
    return [_check(claim, reported) for claim in reported.gains]


def _check(claim: Gain, reported: Reported) -> Row:
    arm = reported.arm(claim.arm)
    filter_ = Filter.of(arm)
    if filter_ is None:
        value, verdict, text = None, Verdict.UNKNOWN, f"The file does not give both Q and V of {arm.name}."
    elif claim.token is not None:
        value, verdict, text = _at_token(claim.claim, filter_, claim.token)
    else:
        value, verdict, text = _overall(claim, filter_, arm)
        if verdict is not Verdict.AGREES:
            text += excluded_by(reported, claim) + shared(reported, claim)
    return Row.of(
        claim.claim,
        kind="gains",
        claim=f"Kalman gain of {arm.name}{f', token {claim.token}' if claim.token else _NAMES[claim.of]}",
        source=claim.source,
        verdict=verdict,
        explanation=text,
        formula=_TOKEN if claim.token else _MEAN if claim.of == "mean" else _STEADY,
        value=value,
    )


def _at_token(printed: Printed, filter_: Filter, token: int) -> tuple[float, Verdict, str]:
    value = float(filter_.gains(tokens=token)[-1])
    text = f"With {filter_.setting} the gain of token {token:,} is {printed.like(value)} ({filter_.start})."
    return value, compare(printed, Interval(value, value)), text


def _overall(claim: Gain, filter_: Filter, arm: ReportedArm) -> tuple[float | None, Verdict, str]:
    """Recomputed gain, verdict and reason of a claim that names no token."""
    printed = claim.claim
    found: list[tuple[float, str]] = []
    if claim.of != "mean":
        steady = filter_.steady_gain
        found.append((steady, f"The steady state of {filter_.setting} is {printed.like(steady)}."))
    if claim.of != "steady_state" and (length := arm.response_length) is not None:
        mean = float(filter_.gains(tokens=length).mean())
        text = f"The mean over responses that all have {length:,} tokens is {printed.like(mean)} ({filter_.start})."
        found.append((mean, text))
    for value, text in found:
        if compare(printed, Interval(value, value)) is Verdict.AGREES:
            return value, Verdict.AGREES, text

    gain = filter_.gains()
    outside = not printed.interval.meets(reach(gain, filter_.steady_gain))
    # Without a stated P0, another start could have put the transient anywhere.
    wrong = Verdict.IMPOSSIBLE if outside and filter_.p0_stated else Verdict.DIFFERS
    others = _where_it_holds(printed, filter_, gain=gain, outside=outside)
    if not found:
        # Responses of several lengths can have any mean between the first gain and the steady state.
        text = f"The file gives no response length of {arm.name}. {others}"
        return None, wrong if outside else Verdict.UNKNOWN, text
    value = found[0][0]
    off = f" The claim is {off}." if (off := distance(printed, value)) else ""
    return value, wrong, f"{' '.join(text for _, text in found)}{off} {others}"


def _where_it_holds(printed: Printed, filter_: Filter, *, gain: Array, outside: bool) -> str:
    """Which token's gain, or which response length's mean, the claim is."""
    if outside:
        ends = f"from {printed.like(float(gain[0]))} at token 1 to {printed.like(filter_.steady_gain)}"
        more = "" if filter_.p0_stated else " A start from P0 > 0 would give other gains on the way."
        return (
            f"No token and no response length gives it: the gain goes {ends} and never leaves that range "
            f"({filter_.start}).{more}"
        )
    token, length = fitting(printed, gain), fitting(printed, mean_gains(gain))
    parts = []
    if token is not None:
        exact = f" ({printed.like(float(gain[token.first - 1]))})" if token.first == token.last else ""
        parts.append(f"the gain of {token.words('token')}{exact}, on the way to the steady state")
    if length is not None:
        parts.append(f"the mean gain if responses had {length.lengths()}")
    if not parts:
        return f"It lies between the gains of two tokens ({filter_.start}); no single length has it as its mean."
    return f"It would be {', or '.join(parts)} ({filter_.start})."
