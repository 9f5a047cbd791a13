"""A number as somebody printed it, with all that its digits allow, and what a check of it returns.

A printed number stands for every number that rounds to it: ``2.0%`` for 1.95 % to 2.05 %, ``47.81%`` for 47.805 % to
47.815 %. That interval is the tolerance of every check, on both sides: of the claim, and of what it is recomputed from.
Ends are included, since nobody prints how ties were rounded. A tilde does not widen it: ``~2%`` is what rounds to 2 %.
"""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from reports.data.numbers import number

_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−≤≥≈", "-0123456789-<>~")
_DIGITS = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_PATTERN = re.compile(
    rf"~?\s*(?P<relation>[<>]?)=?\s*~?\s*(?P<sign>[-+↓↑]?)\s*"
    rf"(?:(?P<mantissa>{_DIGITS})(?:[eE](?P<exponent>[-+]?[0-9]{{1,3}})|\s*[×x·*]\s*10\^?(?P<power>[-+]?[0-9]{{1,3}}))?"
    r"|10\^?(?P<bare>-[0-9]{1,3}))\s*(?P<unit>%|pp)?"
)
# Relative room for float64's own rounding when intervals touch.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Interval:
    """All numbers from low to high, both included; an end may be infinite."""

    low: float
    high: float

    def meets(self, other: "Interval") -> bool:
        """Whether some number lies in both."""
        room = _ROUNDING * max((abs(end) for end in (*self, *other) if math.isfinite(end)), default=0.0)
        return self.low <= other.high + room and other.low <= self.high + room

    def holds(self, value: float) -> bool:
        """Whether a number lies in it."""
        return self.meets(Interval(value, value))

    def __iter__(self) -> Any:
        """Low, then high."""
        return iter((self.low, self.high))


@dataclass(frozen=True)
class Printed:
    """A number as printed.

    Attributes:
        text: As printed.
        value: The number itself; of per cent and percentage points the share: 0.02 for ``2%``.
        interval: All that it can stand for; open to one side for ``<`` and ``>``.
        unit: ``%``, ``pp`` (percentage points) or nothing.
        digits: Significant digits printed.
    """

    text: str
    value: float
    interval: Interval
    unit: str
    digits: int

    def like(self, value: float) -> str:
        """Another number in the same unit, with a digit more than printed and at least three.

        >>> parse("~2%").like(0.0951249), parse("0.75").like(0.740312), parse("1.2e-7").like(0.0)
        ('9.51 %', '0.740', '0')
        """
        scaled, digits = (100 * value if self.unit else value), max(3, self.digits + 1)
        # Unlike other numbers of reports, with its zeros: they say how exact the comparison is.
        if 1e-3 <= abs(scaled) < 10**digits:
            text = f"{scaled:#.{digits}g}".rstrip(".").replace("-", "−")
        else:
            text = number(scaled, digits=digits)
        return f"{text} {self.unit}".strip()


def parse(text: str) -> Printed:
    """Read a number as printed: ``59.60%``, ``~2 %``, ``< 1e-6``, ``1.2 × 10⁻⁷``, ``10^-6``, ``↓4.65``, ``11.79pp``.

    Raises:
        ValueError: It is not such a number.

    Example:
        >>> parse("~2%").interval, parse("1.2e-7").interval
        (Interval(low=0.015, high=0.025), Interval(low=1.15e-07, high=1.25e-07))
    """
    found = _PATTERN.fullmatch(text.strip().translate(_SUPERSCRIPTS))
    if found is None:
        raise ValueError("must be a number as printed, such as '59.60%', '~1.4' or '< 1e-6'")
    mantissa = found["mantissa"] or "1"
    exponent = int(found["exponent"] or found["power"] or found["bare"] or 0)
    unit = found["unit"] or ""
    decimal = Decimal(mantissa).scaleb(exponent - (2 if unit else 0))
    half = Decimal(1).scaleb(int(decimal.as_tuple().exponent)) / 2
    if found["sign"] in ("-", "↓"):
        decimal = -decimal
    value = float(decimal)
    low, high = float(decimal - half), float(decimal + half)
    if not math.isfinite(value):
        raise ValueError("must be a number that float64 can hold")
    interval = {"<": Interval(-math.inf, value), ">": Interval(value, math.inf)}.get(
        found["relation"], Interval(low, high)
    )
    digits = len(mantissa.replace(".", "").lstrip("0")) or 1
    return Printed(text=text.strip(), value=value, interval=interval, unit=unit, digits=digits)


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

    @classmethod
    def of(cls, printed: Printed, *, value: float | None = None, range: Interval | None = None, **words: Any) -> "Row":
        """The row of a claim that is a printed number; the range of its value is the value itself if left out."""
        if value is not None and range is None:
            range = Interval(value, value)
        recomputed = "n/a" if value is None else printed.like(value)
        return cls(**{"reported": printed.text, "recomputed": recomputed, "value": value, "range": range, **words})


def compare(claim: Printed, recomputed: Interval) -> Verdict:
    """Whether a number can round to what is printed: a claim agrees if its interval and the recomputed one meet."""
    return Verdict.AGREES if claim.interval.meets(recomputed) else Verdict.DIFFERS


def distance(claim: Printed, value: float) -> str:
    """How far a claim is from the recomputed number, in words: ``3.0 % below it``; nothing to divide by: empty.

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
