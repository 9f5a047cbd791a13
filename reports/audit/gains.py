"""Reported Kalman gains against the closed forms: is it the steady state, or a token on the way there?"""

from reports.audit.printed import Interval, Printed
from reports.audit.reported import Gain, Reported, ReportedArm
from reports.audit.row import Row, Verdict, compare, distance
from reports.audit.transient import Array, Filter, Span, fitting, mean_gains, reach

_STEADY = "K∞ = (−q + √(q² + 4q))/2, q = Q/V; on the way there Kₜ = (Kₜ₋₁ + q)/(Kₜ₋₁ + q + 1), K₀ = P₀/V"
_TOKEN = "Kₜ = (Kₜ₋₁ + q)/(Kₜ₋₁ + q + 1), K₀ = P₀/V, q = Q/V"
_MEAN = f"mean of K₁ to K of the last token; {_TOKEN}"


def check_gains(reported: Reported) -> list[Row]:
    """One row for each reported gain.

    A claim that does not say which gain it means is compared with the steady state and, where the file holds a
    response length, with the mean over a response of that length; one of the two must round to it.
    """
    return [_check(claim, reported.arm(claim.arm)) for claim in reported.gains]


def _check(claim: Gain, arm: ReportedArm) -> Row:
    name = {None: "", "steady_state": ", steady state", "mean": ", mean"}[claim.of]
    what = f"Kalman gain of {arm.name}{f', token {claim.token}' if claim.token else name}"
    formula = _TOKEN if claim.token else _MEAN if claim.of == "mean" else _STEADY
    printed = claim.claim

    def row(value: float | None, verdict: Verdict, explanation: str) -> Row:
        return Row(
            kind="gains",
            claim=what,
            source=claim.source,
            reported=printed.text,
            recomputed="n/a" if value is None else printed.like(value),
            verdict=verdict,
            explanation=explanation,
            formula=formula,
            value=value,
            range=None if value is None else Interval(value, value),
        )

    if (filter_ := Filter.of(arm)) is None:
        return row(None, Verdict.UNKNOWN, f"The file does not give both Q and V of {arm.name}.")
    steady, gain = filter_.steady_gain, filter_.gains()
    mean = mean_gains(gain)
    setting = f"Q = {filter_.q:g} and V = {filter_.v:g}"
    if claim.token is not None:
        value = float(gain[min(claim.token, len(gain)) - 1])
        verdict = compare(printed, Interval(value, value))
        return row(
            value,
            verdict,
            f"With {setting} the gain of token {claim.token} is {printed.like(value)} ({filter_.start}).",
        )
    candidates = []
    if claim.of != "mean":
        candidates.append((steady, f"The steady state of {setting} is {printed.like(steady)}."))
    if claim.of != "steady_state" and (length := arm.response_length) is not None:
        value = float(mean[length - 1])
        text = f"The mean over responses that all have {length:,} tokens is {printed.like(value)} ({filter_.start})."
        candidates.append((value, text))
    for value, text in candidates:
        if compare(printed, Interval(value, value)) is Verdict.AGREES:
            return row(value, Verdict.AGREES, text)
    others = _where_it_holds(printed, filter_, gain=gain, mean=mean, steady=steady)
    outside = not printed.interval.meets(reach(gain, steady))
    # Without a stated P0, another start could have put the transient anywhere.
    wrong = Verdict.IMPOSSIBLE if outside and filter_.p0_stated else Verdict.DIFFERS
    if not candidates:
        spans = fitting(printed, mean)
        verdict = Verdict.UNKNOWN if spans is not None else wrong
        return row(None, verdict, f"The file gives no response length of {arm.name}. {others}")
    value = candidates[0][0]
    off = distance(printed, value)
    first = " ".join(text for _, text in candidates)
    return row(value, wrong, f"{first} The claim is {off or 'another number'}. {others}".replace(".. ", ". "))


def _where_it_holds(claim: Printed, filter_: Filter, *, gain: Array, mean: Array, steady: float) -> str:
    """Which token's gain, or which response length's mean, the claim is."""
    token, length = fitting(claim, gain), fitting(claim, mean)
    if token is None and length is None:
        ends = f"from {claim.like(float(gain[0]))} at token 1 to {claim.like(steady)}"
        more = "" if filter_.p0_stated else " A start from P0 > 0 would give other gains on the way."
        return (
            f"No token and no response length gives it: the gain goes {ends} and never leaves that range "
            f"({filter_.start}).{more}"
        )
    parts = []
    if token is not None:
        parts.append(f"the gain of {_tokens(claim, gain, token)}, on the way to the steady state")
    if length is not None:
        parts.append(f"the mean gain if responses had {length.lengths()}")
    return f"It would be {', or '.join(parts)} ({filter_.start})."


def _tokens(claim: Printed, gain: Array, span: Span) -> str:
    """``token 2 (1.95 %)``; with the values where there is a single one."""
    text = span.words("token")
    return f"{text} ({claim.like(float(gain[span.first - 1]))})" if span.first == span.last else text
