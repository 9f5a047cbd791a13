"""Reported clipping thresholds and predicted deviations of innovations against the closed forms."""

import math

from reports.audit.printed import Interval, Printed, Row, Verdict, compare, distance
from reports.audit.reported import Reported, ReportedArm, Sigma, Threshold
from reports.audit.transient import Filter, fitting, reach
from reports.audit.variance import shared

_STEADY = "σ∞ = √(V/(1 − K∞)), K∞ = (−q + √(q² + 4q))/2, q = Q/V; on the way there σₜ = √(V Kₜ₋₁ + Q + V)"
_TOKEN = "σₜ = √(V Kₜ₋₁ + Q + V), Kₜ = (Kₜ₋₁ + q)/(Kₜ₋₁ + q + 1), K₀ = P₀/V, q = Q/V"
_Finding = tuple[float | None, Verdict, str]


def check_sigmas(reported: Reported) -> list[Row]:
    """One row for each reported standard deviation of the innovations."""
    rows = []
    for claim in reported.sigmas:
        arm = reported.arm(claim.arm)
        finding = _with_shared(_sigma(claim, arm), claim, reported)
        rows.append(_row("sigmas", "Predicted deviation σ of innovations", claim, "", finding))
    return rows


def check_thresholds(reported: Reported) -> list[Row]:
    """One row for each reported threshold."""
    rows = []
    for claim in reported.thresholds:
        arm = reported.arm(claim.arm)
        if claim.of == "measurement_noise":
            rows.append(_row("thresholds", "κ√V", claim, "c = κ√V", _noise(claim, arm)))
        else:
            finding = _with_shared(_threshold(claim, arm), claim, reported)
            rows.append(_row("thresholds", "Clipping threshold", claim, "c = κσ, ", finding))
    return rows


def _with_shared(finding: _Finding, claim: Sigma | Threshold, reported: Reported) -> _Finding:
    value, verdict, text = finding
    return value, verdict, text if verdict is Verdict.AGREES else text + shared(reported, claim)


def _row(kind: str, noun: str, claim: Sigma | Threshold, formula: str, finding: _Finding) -> Row:
    value, verdict, text = finding
    steady = isinstance(claim, Threshold) and claim.of == "steady_state"
    at = f", token {claim.token}" if claim.token else ", steady state" if steady else ""
    if formula != "c = κ√V":
        formula += _TOKEN if claim.token else _STEADY
    return Row.of(
        claim.claim,
        kind=kind,
        claim=f"{noun} of {claim.arm}{at}",
        source=claim.source,
        verdict=verdict,
        explanation=text,
        formula=formula,
        value=value,
    )


def _sigma(claim: Sigma, arm: ReportedArm) -> _Finding:
    if (filter_ := Filter.of(arm)) is None:
        return None, Verdict.UNKNOWN, f"The file does not give both Q and V of {arm.name}."
    return _scaled(claim.claim, filter_, scale=1.0, setting=filter_.setting, token=claim.token)


def _threshold(claim: Threshold, arm: ReportedArm) -> _Finding:
    if (missing := _no_kappa(arm)) is not None:
        return missing
    if (filter_ := Filter.of(arm)) is None or arm.kappa is None:
        return None, Verdict.UNKNOWN, f"The file does not give all of Q, V and κ of {arm.name}."
    setting = f"{filter_.setting} with κ = {arm.kappa:g}"
    value, verdict, text = _scaled(claim.claim, filter_, scale=arm.kappa, setting=setting, token=claim.token)
    noise = arm.kappa * math.sqrt(filter_.v)
    if verdict is not Verdict.AGREES and claim.claim.interval.holds(noise):
        text += f" It is κ√V = {claim.claim.like(noise)}, which leaves out the variance of the state."
    return value, verdict, text


def _noise(claim: Threshold, arm: ReportedArm) -> _Finding:
    if (missing := _no_kappa(arm)) is not None:
        return missing
    if arm.v is None or arm.kappa is None:
        return None, Verdict.UNKNOWN, f"The file does not give both V and κ of {arm.name}."
    printed, value = claim.claim, arm.kappa * math.sqrt(arm.v)
    verdict, filter_ = compare(printed, Interval(value, value)), Filter.of(arm)
    text = f"κ = {arm.kappa:g} times √{arm.v:g} is {printed.like(value)}."
    if verdict is Verdict.AGREES:
        text += " It leaves out the variance of the state: the threshold itself is higher."
    elif filter_ is not None and (span := fitting(printed, arm.kappa * filter_.sigmas())) is not None:
        text += f" What is printed would be the threshold κσ of {span.words('token')} ({filter_.start})."
    return value, verdict, text


def _no_kappa(arm: ReportedArm) -> _Finding | None:
    if arm.kappa == math.inf:
        return None, Verdict.IMPOSSIBLE, f"{arm.name} clips nothing (κ = ∞): it has no threshold."
    return None


def _scaled(printed: Printed, filter_: Filter, *, scale: float, setting: str, token: int | None) -> _Finding:
    """A claim about ``scale`` times sigma, of a token or else of the steady state."""
    if token is not None:
        value = scale * float(filter_.sigmas(tokens=token)[-1])
        text = f"With {setting} it is {printed.like(value)} at token {token:,} ({filter_.start})."
        return value, compare(printed, Interval(value, value)), text
    steady = scale * filter_.steady_sigma
    text = f"The steady state of {setting} is {printed.like(steady)}."
    if compare(printed, Interval(steady, steady)) is Verdict.AGREES:
        return steady, Verdict.AGREES, text
    if off := distance(printed, steady):
        text += f" The claim is {off}."
    values = scale * filter_.sigmas()
    if not printed.interval.meets(reach(values, steady)):
        ends = f"from {printed.like(float(values[0]))} at token 1 to {printed.like(steady)}"
        text += f" No token has it: it goes {ends} and never leaves that range ({filter_.start})."
        if not filter_.p0_stated:
            text += " A start from P0 > 0 would give other values on the way."
        return steady, Verdict.IMPOSSIBLE if filter_.p0_stated else Verdict.DIFFERS, text
    if (span := fitting(printed, values)) is not None:
        return steady, Verdict.DIFFERS, f"{text} It would be that of {span.words('token')} ({filter_.start})."
    return steady, Verdict.DIFFERS, f"{text} It lies between those of two tokens ({filter_.start})."
