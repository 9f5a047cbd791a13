"""What every check returns: a claim, what it should be, a verdict and the reason in plain English."""

from dataclasses import dataclass
from enum import StrEnum

from reports.audit.printed import Interval, Printed


class Verdict(StrEnum):
    """What became of a claim; the value is how it is printed."""

    AGREES = "agrees"
    DIFFERS = "differs"
    IMPOSSIBLE = "cannot be right"
    UNKNOWN = "cannot be recomputed"


MEANING = {
    Verdict.AGREES: "some number that the inputs allow rounds to what is printed",
    Verdict.DIFFERS: "no number that the inputs allow rounds to what is printed",
    Verdict.IMPOSSIBLE: "it contradicts other numbers of the file, or the filter's formulas, however they were rounded",
    Verdict.UNKNOWN: "the file does not hold what it takes; this is no finding against the claim",
}


@dataclass(frozen=True)
class Row:
    """One claim, checked.

    Attributes:
        kind: Which check made it: the key of the input file that holds the claim, such as ``gains``.
        claim: What is claimed, in words.
        source: Table and row, or section, that the claim comes from.
        reported: The claim as printed.
        recomputed: The recomputed number in the claim's unit, or n/a.
        verdict: What became of the claim.
        explanation: The reason, in plain English, with what would make the claim true.
        formula: What was computed.
        value: The recomputed number itself, a share where the claim is in per cent; None if there is none.
        range: What value can be, given the digits of what it was computed from; None if there is no value.
    """

    kind: str
    claim: str
    source: str
    reported: str
    recomputed: str
    verdict: Verdict
    explanation: str
    formula: str
    value: float | None = None
    range: Interval | None = None


def compare(claim: Printed, recomputed: Interval) -> Verdict:
    """Whether a number can round to what is printed: a claim agrees if its interval and the recomputed one meet."""
    return Verdict.AGREES if claim.interval.meets(recomputed) else Verdict.DIFFERS


def distance(claim: Printed, value: float) -> str:
    """How far a claim is from the recomputed number, in words: ``3.0 % below it``; nothing to divide by: empty.

    >>> from reports.audit.printed import parse
    >>> distance(parse("3.06"), 3.1538), distance(parse("~5"), 1.0), distance(parse("1"), 0.0)
    ('3.0 % below it', '5.0 times as much', '')
    """
    if value == 0 or claim.value / value <= 0:
        return ""
    ratio = claim.value / value
    if ratio >= 2:
        return f"{ratio:.2g} times as much" if ratio >= 10 else f"{ratio:.1f} times as much"
    share = 100 * abs(ratio - 1)
    return f"{share:.1f} % {'above' if ratio > 1 else 'below'} it" if share >= 0.05 else ""
