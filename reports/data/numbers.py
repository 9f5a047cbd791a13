"""How numbers are written in the report."""

import math
from collections.abc import Iterable

# For what is missing, and for what does not apply.
MISSING, NOTHING = "n/a", "–"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, *, digits: int = 3) -> str:
    """Significant digits, with a power of ten where that is shorter; ∞, and n/a for what is missing.

    >>> [number(value) for value in (0.0, 0.25, 12.0, 1e-6, 2.5e-5, -0.5, float("inf"), float("nan"))]
    ['0', '0.25', '12', '10⁻⁶', '2.5·10⁻⁵', '−0.5', '∞', 'n/a']
    """
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        text = f"{value:.{digits}g}"
        return (f"{value:.0f}" if "e" in text else text).replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".").replace("-", "−")
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return power if mantissa == "1" else f"{mantissa}·{power}"


def per_cent(share: float, *, digits: int = 3) -> str:
    """A share as per cent, without the sign.

    >>> per_cent(0.0181), per_cent(2.5e-7), per_cent(float("nan"))
    ('1.81', '2.5·10⁻⁵', 'n/a')
    """
    return number(100 * share, digits=digits)


def points(share: float, *, sign: bool = False) -> str:
    """A share as per cent with one decimal: accuracies and their differences.

    >>> points(0.4781), points(-0.1179, sign=True), points(0.0, sign=True)
    ('47.8', '−11.8', '0.0')
    """
    if math.isnan(share):
        return MISSING
    text = f"{100 * share:.1f}"
    if text == "-0.0":
        text = "0.0"
    return (f"+{text}" if sign and float(text) > 0 else text).replace("-", "−")


def interval(value: float, low: float, high: float) -> str:
    """A share as `points`, with its interval where it has one.

    >>> interval(0.358, 0.323, 0.393), interval(0.5, float("nan"), float("nan")), interval(*3 * [float("nan")])
    ('35.8 [32.3, 39.3]', '50.0', 'n/a')
    """
    return points(value) if math.isnan(low) else f"{points(value)} [{points(low)}, {points(high)}]"


def ends(low: float, high: float) -> str:
    """Both ends of the interval of a difference, as `points`.

    >>> ends(-0.1179, 0.02), ends(float("nan"), float("nan"))
    ('−11.8 to +2.0', 'n/a')
    """
    return MISSING if math.isnan(low) else f"{points(low, sign=True)} to {points(high, sign=True)}"


def difference(value: float, low: float, high: float) -> str:
    """A difference in points with its interval, where it has one, in a sentence.

    >>> difference(0.05, -0.01, 0.11), difference(-0.05, float("nan"), float("nan"))
    ('+5.0 points [−1.0, +11.0]', '−5.0 points')
    """
    text = f"{points(value, sign=True)} points"
    return text if math.isnan(low) else f"{text} [{points(low, sign=True)}, {points(high, sign=True)}]"


def share_interval(value: float, low: float, high: float) -> str:
    """A share of tokens as `per_cent`, with its interval where it has one.

    >>> share_interval(0.0181, 0.01612, 0.0203), share_interval(0.0, float("nan"), float("nan"))
    ('1.81 [1.61, 2.03]', '0')
    """
    return per_cent(value) if math.isnan(low) else f"{per_cent(value)} [{per_cent(low)}, {per_cent(high)}]"


def number_interval(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """A number with its interval, where it has one.

    >>> number_interval(0.25, 0.2, 1e-6), number_interval(0.25, float("nan"), float("nan"))
    ('0.25 [0.2, 10⁻⁶]', '0.25')
    """
    text = number(value, digits=digits)
    return text if math.isnan(low) else f"{text} [{number(low, digits=digits)}, {number(high, digits=digits)}]"


def p_value(value: float) -> str:
    """A p-value as papers print it.

    >>> p_value(0.324), p_value(1e-9), p_value(1.0), p_value(float("nan"))
    ('0.324', '< 0.001', '1.000', 'n/a')
    """
    if math.isnan(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def listing(items: Iterable[str]) -> str:
    """Words in a row.

    >>> listing(["1", "2", "5"]), listing(["1"]), listing([])
    ('1, 2 and 5', '1', '')
    """
    words = list(items)
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def count(amount: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "arm"), count(12, "arm")
    ('1 arm', '12 arms')
    """
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}".replace(",", "\u202f")
