"""Reported clipping thresholds and predicted deviations against the closed forms."""

import math

from reports.audit.printed import Interval, Printed
from reports.audit.reported import Reported, ReportedArm, Sigma, Threshold
from reports.audit.row import Row, Verdict, compare, distance
from reports.audit.transient import Filter, fitting, reach

_SIGMA = "σ∞ = √(V/(1 − K∞)), K∞ = (−q + √(q² + 4q))/2, q = Q/V; on the way there σₜ = √(V Kₜ₋₁ + Q + V)"
_SIGMA_TOKEN = "σₜ = √(Pₜ₋₁ + Q + V), Pₜ = V Kₜ, Kₜ = (Kₜ₋₁ + q)/(Kₜ₋₁ + q + 1), q = Q/V"
_NOISE = "c = κ√V"


def check_sigmas(reported: Reported) -> list[Row]:
    """One row for each reported standard deviation of the innovations."""
    return [_check(claim, reported.arm(claim.arm), kind="sigmas") for claim in reported.sigmas]


def check_thresholds(reported: Reported) -> list[Row]:
    """One row for each reported threshold."""
    return [_check(claim, reported.arm(claim.arm), kind="thresholds") for claim in reported.thresholds]


def _check(claim: Sigma | Threshold, arm: ReportedArm, *, kind: str) -> Row:
    of = claim.of if isinstance(claim, Threshold) else None
    is_sigma, noise = isinstance(claim, Sigma), of == "measurement_noise"
    noun = "predicted deviation σ of innovations" if is_sigma else "κ√V" if noise else "clipping threshold"
    at = f", token {claim.token}" if claim.token else ", steady state" if of == "steady_state" else ""
    formula = _SIGMA_TOKEN if claim.token else _NOISE if noise else _SIGMA
    if not is_sigma and not noise:
        formula = f"c = κσ, {formula}"
    printed = claim.claim

    def row(value: float | None, verdict: Verdict, explanation: str) -> Row:
        return Row(
            kind=kind,
            claim=f"{noun[0].upper()}{noun[1:]} of {arm.name}{at}" if not noise else f"κ√V of {arm.name}",
            source=claim.source,
            reported=printed.text,
            recomputed="n/a" if value is None else printed.like(value),
            verdict=verdict,
            explanation=explanation,
            formula=formula,
            value=value,
            range=None if value is None else Interval(value, value),
        )

    filter_ = Filter.of(arm)
    if arm.v is None or (filter_ is None and not noise):
        return row(None, Verdict.UNKNOWN, f"The file does not give both Q and V of {arm.name}.")
    kappa = 1.0 if is_sigma else arm.kappa
    if kappa is None:
        return row(None, Verdict.UNKNOWN, f"The file does not give κ of {arm.name}.")
    if math.isinf(kappa):
        return row(None, Verdict.IMPOSSIBLE, f"{arm.name} clips nothing (κ = ∞): it has no threshold.")
    noise_value = kappa * math.sqrt(arm.v)
    if filter_ is None or noise:
        verdict = compare(printed, Interval(noise_value, noise_value))
        return row(noise_value, verdict, _noise_words(printed, filter_, arm.v, kappa, noise_value, verdict))
    setting = f"Q = {filter_.q:g}, V = {filter_.v:g}" + ("" if is_sigma else f" and κ = {kappa:g}")
    values, steady = kappa * filter_.sigmas(), kappa * filter_.steady_sigma
    if claim.token is not None:
        value = float(values[min(claim.token, len(values)) - 1])
        text = f"With {setting} token {claim.token} has {printed.like(value)} ({filter_.start})."
        return row(value, compare(printed, Interval(value, value)), text)
    text = f"The steady state of {setting} is {printed.like(steady)}."
    if compare(printed, Interval(steady, steady)) is Verdict.AGREES:
        return row(steady, Verdict.AGREES, text)
    text += f" The claim is {off}." if (off := distance(printed, steady)) else ""
    if not is_sigma and printed.interval.holds(noise_value):
        text += f" It is κ√V = {printed.like(noise_value)}, which leaves out the variance of the state."
    if (span := fitting(printed, values)) is not None:
        return row(steady, Verdict.DIFFERS, f"{text} It would be that of {span.words('token')} ({filter_.start}).")
    ends = f"from {printed.like(float(values[0]))} at token 1 to {printed.like(steady)}"
    text += f" No token has it: it goes {ends} and never leaves that range ({filter_.start})."
    outside = not printed.interval.meets(reach(values, steady))
    return row(steady, Verdict.IMPOSSIBLE if outside and filter_.p0_stated else Verdict.DIFFERS, text)


def _noise_words(
    printed: Printed, filter_: Filter | None, v: float, kappa: float, value: float, verdict: Verdict
) -> str:
    text = f"κ = {kappa:g} times √{v:g} is {printed.like(value)}."
    if verdict is Verdict.AGREES:
        return f"{text} It leaves out the variance of the state: the threshold itself is somewhat higher."
    if filter_ is not None and (span := fitting(printed, kappa * filter_.sigmas())) is not None:
        return f"{text} What is printed would be the threshold κσ of {span.words('token')} ({filter_.start})."
    return text
