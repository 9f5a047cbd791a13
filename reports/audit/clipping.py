"""Reported clip fractions against the reported largest innovations: a token is clipped only beyond the threshold.

Where a step's own maximum is not printed, that of the whole run stands for it, which no step exceeds.
"""

import math

from reports.audit.printed import Interval, Printed, Row, Verdict
from reports.audit.reported import Clipping, Reported, ReportedArm
from reports.audit.transient import Filter
from reports.data.numbers import number

_FORMULA = "clipped ⇔ |δₜ| > κσₜ, and κσₜ ≥ κ√(Q + V) for every token and every P₀ ≥ 0"


def check_clipping(reported: Reported) -> list[Row]:
    """One row for each reported clip fraction."""
    rows = []
    for claim in reported.clipping:
        if claim.clip_fraction is not None:
            arm = reported.arm(claim.arm)
            verdict, value, text = _judge(claim, claim.clip_fraction, arm, *_largest(claim, reported))
            rows.append(
                Row.of(
                    claim.clip_fraction,
                    kind="clipping",
                    claim=f"Clip fraction of {arm.name}{_step(claim)}{_beside(claim)}",
                    source=claim.source,
                    verdict=verdict,
                    explanation=text,
                    formula=_FORMULA,
                    value=value,
                )
            )
    return rows


def _largest(claim: Clipping, reported: Reported) -> tuple[Printed | None, str]:
    """The largest innovation of a step, or else of its run, as printed; and which of the two it is, in words."""
    if claim.largest_innovation is not None:
        return claim.largest_innovation, ""
    run = [other.claim for other in reported.largest_innovations if other.arm == claim.arm]
    # If two are claimed, what holds with the larger holds with both.
    return max(run, key=lambda printed: printed.interval.high, default=None), " of the whole run"


def check_largest_innovations(reported: Reported) -> list[Row]:
    """One row for each claim about a run: no step's maximum may exceed it."""
    rows = []
    for claim in reported.largest_innovations:
        steps = [row for row in reported.clipping if row.arm == claim.arm and row.step is not None]
        seen = [(row, row.largest_innovation) for row in steps if row.largest_innovation is not None]
        value, verdict = None, Verdict.UNKNOWN
        text = f"The file gives no maximum of any step of {claim.arm}."
        if seen:
            row, largest = max(seen, key=lambda pair: pair[1].value)
            value, where = largest.value, f"{row.source}{_step(row)}"
            if largest.interval.low > claim.claim.interval.high:
                verdict = Verdict.IMPOSSIBLE
                text = f"A single step has more: {largest.text} ({where})."
            else:
                text = (
                    f"The steps in the file reach {largest.text} ({where}), which does not contradict it. Only all "
                    "steps of the run could confirm it."
                )
        rows.append(
            Row(
                kind="largest_innovations",
                claim=f"Largest |innovation| of {claim.arm} in the whole run",
                source=claim.source,
                reported=claim.claim.text,
                recomputed="n/a" if value is None else f"≥ {claim.claim.like(value)}",
                verdict=verdict,
                explanation=text,
                formula="maximum of the run ≥ maximum of every step",
                value=value,
                range=None if value is None else Interval(value, math.inf),
            )
        )
    return rows


def _judge(
    claim: Clipping, fraction: Printed, arm: ReportedArm, largest: Printed | None, of: str
) -> tuple[Verdict, float | None, str]:
    """Verdict, recomputed fraction and reason."""
    some = fraction.interval.low > 0
    if arm.kappa == math.inf:
        verdict = Verdict.IMPOSSIBLE if some else Verdict.AGREES
        return verdict, 0.0, f"{arm.name} clips nothing: κ = ∞."
    if (filter_ := Filter.of(arm)) is None or arm.kappa is None:
        return Verdict.UNKNOWN, None, f"The file does not give all of Q, V and κ of {arm.name}."
    if (reason := _not_whole(claim, fraction)) is not None:
        return Verdict.IMPOSSIBLE, None, reason
    lowest = arm.kappa * math.sqrt(filter_.q + filter_.v)
    highest = arm.kappa * max(filter_.steady_sigma, math.sqrt(filter_.p0 + filter_.q + filter_.v))
    below = f"No token of {arm.name} has a threshold below {number(lowest, digits=4)}"
    if largest is None:
        return (
            Verdict.UNKNOWN,
            None,
            f"{below}. The file gives no largest innovation to compare with it.{_one_in(claim, fraction)}",
        )
    if largest.interval.high <= lowest:
        text = f"{below}, and the largest innovation{of} is {largest.text}: nothing is clipped."
        return (
            (Verdict.IMPOSSIBLE, 0.0, text + _reasons(claim, fraction, largest, lowest))
            if some
            else (Verdict.AGREES, 0.0, text)
        )
    # That a whole run has an innovation above every threshold says nothing of one of its steps.
    if largest.interval.low <= highest or (of and claim.step is not None):
        text = (
            f"Thresholds lie between {number(lowest, digits=4)} and {number(highest, digits=4)}, depending on the token"
        )
        return Verdict.UNKNOWN, None, f"{text}; whether {largest.text} was clipped cannot be told."
    text = (
        f"The largest innovation, {largest.text}, is above every threshold (at most {number(highest, digits=4)}): at "
        "least one token is clipped."
    )
    if not filter_.p0_stated:
        text += " The file does not state P0; this is with 0."
    if claim.tokens is not None and fraction.interval.high < 1 / claim.tokens:
        verdict = Verdict.DIFFERS if not filter_.p0_stated else Verdict.IMPOSSIBLE
        return verdict, 1 / claim.tokens, f"{text} That is at least 1 of {claim.tokens:,}."
    return Verdict.UNKNOWN, None, f"{text} How many, only all innovations could tell."


def _not_whole(claim: Clipping, fraction: Printed) -> str | None:
    """Why a fraction is no whole number of tokens, where the number of tokens is known."""
    if claim.tokens is None:
        return None
    low, high = (min(max(end, 0.0), 1.0) * claim.tokens for end in fraction.interval)
    if math.ceil(low * (1 - 1e-9)) <= math.floor(high * (1 + 1e-9)):
        return None
    return (
        f"No whole number of clipped tokens of {claim.tokens:,} rounds to it: it would be "
        f"{number(fraction.value * claim.tokens)} tokens. A fraction that was averaged over parts of a step may be."
    )


def _reasons(claim: Clipping, fraction: Printed, largest: Printed, lowest: float) -> str:
    """What could have made two numbers that exclude each other."""
    text = " The two exclude each other if both are exact and of the same tokens."
    if largest.value > 0:
        # If the mean of m maxima is the one printed and one of them is above the threshold, m is at least this.
        parts = math.ceil(lowest / largest.interval.high)
        text += (
            f" A maximum that was averaged over {parts} or more parts of a step (micro-batches, devices) and not taken "
            "over all tokens would explain it, and so would clipping counted otherwise. The file cannot tell which."
        )
    return text + _one_in(claim, fraction)


def _one_in(claim: Clipping, fraction: Printed) -> str:
    """What a small fraction implies about the number of tokens, where the file does not give it."""
    if claim.tokens is not None or fraction.interval.low <= 0:
        return ""
    tokens = f"{float(f'{1 / fraction.value:.2g}'):,.0f}"
    return f" One token in {tokens} is the fraction claimed; the file does not say how many tokens it is of."


def _step(claim: Clipping) -> str:
    return "" if claim.step is None else f", step {claim.step}"


def _beside(claim: Clipping) -> str:
    return "" if claim.largest_innovation is None else f", with max |δ| {claim.largest_innovation.text}"
