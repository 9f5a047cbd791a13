"""A number as somebody printed it, with all that its digits allow.

A printed number stands for every number that rounds to it: ``2.0%`` for 1.95 % to 2.05 %, ``47.81%`` for 47.805 % to
47.815 %. That interval is the tolerance of every check, on both sides: of the claim, and of what it is recomputed from.
Ends are included, since nobody prints how ties were rounded. A tilde does not widen it: ``~2%`` is what rounds to 2 %.
"""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
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
