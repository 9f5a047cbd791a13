"""Claims that a low gain and a low clipping threshold exclude each other, against the closed form's inverse.

The gain depends on Q/V alone and the threshold, at a given gain, on kappa sqrt(V): the two can be chosen freely. So a
setting is computed that has both, and run backwards through the formulas of gain and threshold as a proof.
"""

import math

from iskpo.closed_form import decouple, steady_state_gain, steady_state_threshold
from reports.audit.printed import Row, Verdict
from reports.audit.reported import Incompatible, Reported, ReportedArm
from reports.audit.transient import Filter
from reports.data.numbers import number, per_cent

_FORMULA = "Q = (Kc/κ)², V = (c/κ)²(1 − K)"


def check_incompatible(reported: Reported) -> list[Row]:
    """One row for each statement."""
    return [_check(claim, reported) for claim in reported.incompatible]


def _check(claim: Incompatible, reported: Reported) -> Row:
    q, v = decouple(gain=claim.gain, threshold=claim.threshold, kappa=claim.kappa)
    gain, threshold = steady_state_gain(q=q, v=v), steady_state_threshold(q=q, v=v, kappa=claim.kappa)
    setting = f"Q = {number(q)} and V = {number(v)} with κ = {claim.kappa:g}"
    text = (
        f"As a statement about gain and threshold it is not true: {setting} have a steady-state gain of "
        f"{per_cent(gain)} % and a threshold of {number(threshold)}. The gain depends on Q/V alone, and V then sets "
        "the threshold. Lowering V raises the gain if Q is held fixed, and does not if Q is lowered with it. "
        f"{_arms(claim, reported)} Whether such a setting trains well is another question, which the formulas do not "
        "answer."
    )
    return Row(
        kind="incompatible",
        claim=f"Gain {per_cent(claim.gain)} % and threshold {number(claim.threshold)} exclude each other",
        source=claim.source,
        reported=f"“{claim.statement}”",
        recomputed=f"Q = {number(q)}, V = {number(v)}",
        verdict=Verdict.IMPOSSIBLE,
        explanation=text,
        formula=_FORMULA,
    )


def _arms(claim: Incompatible, reported: Reported) -> str:
    """Whether an arm of the file lies there."""
    settings = [(arm, *setting) for arm in reported.arms if (setting := _setting(arm)) is not None]
    if not settings:
        return "No arm of the file has a threshold."
    there = [arm.name for arm, gain, threshold in settings if gain <= claim.gain and threshold <= claim.threshold]
    if there:
        return f"Of the file's own arms, {', '.join(there)} lies there."
    gain, threshold = min(gain for _, gain, _ in settings), min(threshold for *_, threshold in settings)
    return (
        f"No arm of the file lies there: of those with a threshold, the lowest steady-state gain is {per_cent(gain)} % "
        f"and the lowest threshold {number(threshold)}."
    )


def _setting(arm: ReportedArm) -> tuple[float, float] | None:
    """Steady-state gain and threshold of an arm that clips."""
    filter_ = Filter.of(arm)
    if filter_ is None or arm.kappa is None or math.isinf(arm.kappa):
        return None
    return filter_.steady_gain, arm.kappa * filter_.steady_sigma
