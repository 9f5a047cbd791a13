"""Reported two-proportion z-tests, from the printed averages and the number of answers.

The test takes all answers for independent. They are not: those to one problem resemble each other, and both arms
answer the same problems. What is right is a paired comparison over problems (`reports.statistics`), which needs
the scores of every problem; no table prints them. So this recomputes what was claimed and says what it leaves out.
"""

import itertools
import math
from dataclasses import dataclass

from scipy.stats import norm
from statsmodels.stats.proportion import proportions_ztest

from reports.audit.printed import Interval, Printed, Row, Verdict, compare
from reports.audit.reported import Reported, Test
from reports.data.numbers import number, p_value

_Z = "z = (p₁ − p₂)/√(2p̄(1 − p̄)/n), p̄ = (p₁ + p₂)/2, n = problems × samples"
# The custom.
_LEVEL = 0.05
_P = {"two": "2(1 − Φ(|z|))", "one": "1 − Φ(|z|)"}


@dataclass(frozen=True)
class _Inputs:
    """Averages of the two arms, and answers of each; ``missing`` says what the file lacks."""

    averages: tuple[Printed, ...]
    answers: int
    missing: str = ""


def check_tests(reported: Reported) -> list[Row]:
    """One row for each reported z, for each reported p, and for each direction without either."""
    rows = []
    for claim in reported.tests:
        inputs = _inputs(reported, claim)
        scores = None if inputs.missing else _z(inputs)
        if claim.z is not None:
            rows.append(_z_row(claim, claim.z, inputs, scores, seeds=reported.seeds))
        if claim.p is not None:
            rows.append(_p_row(claim, claim.p, inputs, scores))
        if claim.direction is not None:
            rows.append(_direction_row(claim, claim.direction, inputs, scores))
    return rows


def _inputs(reported: Reported, claim: Test) -> _Inputs:
    names = (claim.arm, claim.reference)
    averages = [reported.average(arm=name, benchmark=claim.benchmark) for name in names]
    benchmark = reported.benchmark(claim.benchmark)
    lacking = [name for name, average in zip(names, averages, strict=True) if average is None]
    if lacking:
        return _Inputs((), 0, f"The file gives no average of {' and '.join(lacking)} on {claim.benchmark}.")
    if benchmark.problems is None or benchmark.samples is None:
        return _Inputs((), 0, f"The file does not say how many problems and samples {claim.benchmark} has.")
    known = tuple(average for average in averages if average is not None)
    if all(average.value in (0, 1) for average in known):
        return _Inputs((), 0, "With nothing but right or wrong answers in both arms the test has no variance.")
    return _Inputs(known, benchmark.problems * benchmark.samples)


def _z(inputs: _Inputs) -> tuple[float, Interval]:
    """z of the printed averages, and its range over all that round to them."""
    corners = itertools.product(*(_shares(average) for average in inputs.averages))
    scores = [_score(corner, inputs.answers) for corner in corners]
    value = _score(tuple(average.value for average in inputs.averages), inputs.answers)
    return value, Interval(min(scores), max(scores))


def _shares(average: Printed) -> Interval:
    """All that rounds to a printed average and is a share."""
    low, high = average.interval
    return Interval(max(low, 0.0), min(high, 1.0))


def _score(shares: tuple[float, ...], answers: int) -> float:
    if sum(shares) in (0.0, 2.0):
        return 0.0
    score, _ = proportions_ztest([share * answers for share in shares], [answers, answers])
    return float(score)


def _absolute(scores: Interval) -> Interval:
    low, high = sorted((abs(scores.low), abs(scores.high)))
    return Interval(0.0 if scores.low <= 0 <= scores.high else low, high)


def _p(scores: Interval, sided: str) -> Interval:
    """p of a range of z; the larger |z|, the smaller p."""
    tails, (low, high) = (2 if sided == "two" else 1), _absolute(scores)
    return Interval(tails * float(norm.sf(high)), tails * float(norm.sf(low)))


def _z_row(
    claim: Test, printed: Printed, inputs: _Inputs, scores: tuple[float, Interval] | None, *, seeds: int | None
) -> Row:
    value = spread = None
    verdict, text = Verdict.UNKNOWN, inputs.missing
    if scores is not None:
        value, spread = scores
        # Many print |z| and not z.
        if printed.value > 0 > value:
            value, spread = -value, Interval(-spread.high, -spread.low)
        verdict = compare(printed, spread)
        limits = f"{printed.like(spread.low)} to {printed.like(spread.high)}"
        text = (
            f"From {inputs.averages[0].text} and {inputs.averages[1].text} with {inputs.answers:,} answers an arm, z "
            f"is {printed.like(value)}; the digits of the averages allow {limits}."
        )
        if verdict is Verdict.DIFFERS:
            text += _needed(printed, value, spread, inputs.answers)
        text += (
            " The test takes all answers for independent. Those to one problem are not, and both arms answered the "
            "same problems: only the scores of every problem could tell what z should be."
        )
        text += _seeds(seeds)
    return Row.of(
        printed,
        kind="tests",
        claim=f"z of {claim.arm} against {claim.reference} on {claim.benchmark}",
        source=claim.source,
        verdict=verdict,
        explanation=text,
        formula=_Z,
        value=value,
        range=spread,
    )


def _seeds(seeds: int | None) -> str:
    """What a test over answers leaves out where an arm has one training run, or nobody says how many."""
    if seeds is None:
        return " The file does not say how many training seeds an arm has; of how they differ the test says nothing."
    return " With one training seed an arm, it says nothing about how seeds differ." if seeds == 1 else ""


def _direction_row(claim: Test, direction: str, inputs: _Inputs, scores: tuple[float, Interval] | None) -> Row:
    """Whether the averages have the order that is claimed, and what z and p that order has."""
    value = spread = None
    verdict, text, recomputed = Verdict.UNKNOWN, inputs.missing, "n/a"
    if scores is not None:
        value, spread = scores
        right = spread.high < 0 if direction == "lower" else spread.low > 0
        # To the digits printed the two may be equal.
        open_ = spread.low <= 0 <= spread.high
        verdict = Verdict.UNKNOWN if open_ else Verdict.AGREES if right else Verdict.DIFFERS
        p = _p(Interval(value, value), "two").low
        recomputed = f"z\u202f=\u202f{number(value)}"
        text = (
            f"{inputs.averages[0].text} against {inputs.averages[1].text} with {inputs.answers:,} answers an arm is "
            f"z = {number(value)}, two-sided p = {p_value(p)}, if all answers were independent."
        )
        if p > _LEVEL:
            text += " Two arms that are equally good differ as much as this in one of "
            text += f"{round(1 / p):,} comparisons: it is no evidence of a difference."
    return Row(
        kind="tests",
        claim=f"{claim.arm} scores {direction} than {claim.reference} on {claim.benchmark}",
        source=claim.source,
        reported=direction,
        recomputed=recomputed,
        verdict=verdict,
        explanation=text,
        formula=_Z,
        value=value,
        range=spread,
    )


def _needed(printed: Printed, value: float, spread: Interval, answers: int) -> str:
    """How many answers an arm would make the claimed z true; z grows with the root of their number."""
    if value == 0 or printed.value / value <= 0:
        return " No number of answers gives the claimed sign."
    needed = round(answers * (printed.value / value) ** 2)
    text = f" The claimed z needs about {_rounded(needed)} answers an arm, {needed / answers:.2g} times as many"
    fits = Interval(spread.low * math.sqrt(2), spread.high * math.sqrt(2)).meets(printed.interval)
    return text + (": as if the answers of both arms together were counted for each." if fits else ".")


def _rounded(count: int) -> str:
    return f"{float(f'{count:.3g}'):,.0f}"


def _p_row(claim: Test, printed: Printed, inputs: _Inputs, scores: tuple[float, Interval] | None) -> Row:
    sided = claim.sided or "two"
    value, spread, text = None, None, inputs.missing
    if scores is not None:
        value, spread = scores
        text = f"z = {value:.3f} has a {sided}-sided p of"
    elif claim.z is not None:
        value, spread = claim.z.value, claim.z.interval
        text = f"{text} The claimed z of {claim.z.text} alone has a {sided}-sided p of"
    verdict = Verdict.UNKNOWN
    if value is not None and spread is not None:
        spread, other = _p(spread, sided), _p(spread, "one" if sided == "two" else "two")
        exact = _p(Interval(value, value), sided).low
        verdict = compare(printed, spread)
        text += f" {printed.like(exact)}; the digits allow {printed.like(spread.low)} to {printed.like(spread.high)}."
        if verdict is Verdict.DIFFERS and printed.interval.meets(other):
            text += f" The claim is the {'one' if sided == 'two' else 'two'}-sided p of that z."
        if verdict is Verdict.DIFFERS and claim.z is not None and scores is not None:
            text += _own_z(printed, claim.z, sided)
        if claim.sided is None:
            text += " The file does not say how many sides; two is the custom."
        value = exact
    return Row.of(
        printed,
        kind="tests",
        claim=f"p of {claim.arm} against {claim.reference} on {claim.benchmark}",
        source=claim.source,
        verdict=verdict,
        explanation=text,
        formula=f"p = {_P[sided]}",
        value=value,
        range=spread,
    )


def _own_z(printed: Printed, z: Printed, sided: str) -> str:
    """Whether the two claims at least belong together."""
    fits = printed.interval.meets(_p(z.interval, sided))
    return f" The claimed p {'is' if fits else 'is not'} the {sided}-sided p of the claimed z, {z.text}."
