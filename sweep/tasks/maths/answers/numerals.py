r"""Numbers as digits are written: thousands set apart, decimals, repeating decimals, powers of ten, other bases."""

import re
from fractions import Fraction
from typing import Any

Tree = tuple[Any, ...]
"""A node of what was read: its kind and its parts. `sweep.tasks.maths.answers.reader` lists the kinds."""

MOST_DIGITS = 600

_POINT = re.compile(r"(?P<whole>[0-9]*)\.(?P<rest>[0-9]+)|(?P<only>[0-9]+)")
_REPEATS = re.compile(
    r"(?P<whole>[0-9]*)\.(?P<start>[0-9]*)"
    r"(?:\\(?:overline|bar|dot)\s*(?:\{\s*(?P<braced>[0-9]+)\s*\}|(?P<one>[0-9]))|(?<=\.)\((?P<round>[0-9]+)\))"
)
_DOTS = re.compile(r"(?P<whole>[0-9]*)\.(?P<digits>[0-9]+)\s*\\dots ?")
_GROUPS = {
    ",": re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?!,?[0-9])(?:\.[0-9]+)?"),
    "\u201a": re.compile(r"[0-9]{1,3}(?:\u201a[0-9]{3})+(?!\u201a?[0-9])(?:\.[0-9]+)?"),
    " ": re.compile(r"[1-9][0-9]{0,2}(?:[ \u2009]+[0-9]{3})+(?![ \u2009]*[0-9/]|[ \u2009]*\\frac)(?:\.[0-9]+)?"),
    ".": re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}(?![.0-9])"),
}
_MIXED_GROUPS = re.compile(r"[1-9][0-9]{0,2}(?:[,\u201a][0-9]{3})+(?!,?[0-9])(?:\.[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"([0-9]+)\u201a([0-9]+)")
_SCIENTIFIC = re.compile(
    r"(?P<mantissa>[0-9]*\.[0-9]+|[0-9]+)(?:(?P<capital>E)|e)(?P<power>[+-]?[0-9]{1,4})(?![0-9.A-Za-z])"
)
_BASED = re.compile(
    r"(?P<digits>[0-9][0-9A-Fa-f]*)\s*_\s*(?:\{?\s*(?:\\text\{)?\s*(?P<base>[0-9]{1,2}|[a-z]+)\s*\}?\s*\}?"
    r"|(?P<plain>[0-9]{1,2}))"
)
_BASE_WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "sixteen": 16,
}  # fmt: skip

_FEW_DIGITS = r"[0-9]{1,32}"
_PLAIN = re.compile(
    rf"(?P<sign>[+-]?)\s*(?:(?P<whole>{_FEW_DIGITS})"
    rf"|\\[dt]?frac\s*\{{\s*(?P<over>{_FEW_DIGITS})\s*\}}\s*\{{\s*(?P<under>{_FEW_DIGITS})\s*\}}"
    r"|\\[dt]?frac\s*(?P<one_over>[0-9])(?P<one_under>[0-9])"
    rf"|(?P<left>{_FEW_DIGITS})\s*/\s*(?P<right>{_FEW_DIGITS}))",
    re.ASCII,
)


def plain_number(text: str) -> Fraction | None:
    r"""The value of ``7``, ``-3/4``, ``\frac{3}{4}``, ``\dfrac34`` and their like; None for anything else.

    Decimals are not among them: whether ``0.333`` is a third is a question of digits, which a grading process answers.

    >>> plain_number(r"-\frac{6}{8}"), plain_number("0.75")
    (Fraction(-3, 4), None)
    """
    if (found := _PLAIN.fullmatch(text)) is None:
        return None
    over = found["whole"] or found["over"] or found["one_over"] or found["left"]
    under = found["under"] or found["one_under"] or found["right"] or "1"
    if int(under) == 0:
        return None
    return Fraction(int(over), int(under)) * (-1 if found["sign"] == "-" else 1)


def number(value: Fraction, *, digits: str | None = None) -> Tree:
    """A node for a number; ``digits`` are those of a decimal, whose count matters to rounding."""
    if digits is None:
        return ("num", value, None, None)
    whole, _, rest = digits.partition(".")
    return ("num", value, len((whole + rest).lstrip("0")), len(rest))


def read_number(text: str, position: int, *, grouped: bool) -> tuple[Tree, int] | None:
    """The number that starts at a position, and where it ends.

    Args:
        text: A cleaned answer.
        position: Where to begin.
        grouped: Whether a plain comma may set thousands apart, which between brackets it does not.
    """
    if found := _BASED.match(text, position):
        known = found["base"] or found["plain"]
        base = int(known) if known.isdigit() else _BASE_WORDS.get(known, 0)
        digits = found["digits"].lower().lstrip("0") or "0"
        if 2 <= base <= 36 and all(int(digit, 36) < base for digit in digits):
            end = found.end()
            return (("num", Fraction(int(digits)), None, None) if base == 10 else ("based", digits, base)), end
        return None
    if found := _REPEATS.match(text, position):
        return _repeating(
            found["whole"], found["start"], found["braced"] or found["one"] or found["round"]
        ), found.end()
    if found := _DOTS.match(text, position):
        return _dotted(found["whole"], found["digits"]), found.end()
    if found := _SCIENTIFIC.match(text, position):
        plain = "." not in found["mantissa"] and not found["capital"]
        signed = found["power"][0] in "+-" and len(found["power"]) == 2
        if not (plain and signed):  # 2e-3 without a point is two times e, minus three
            value = Fraction(found["mantissa"]) * Fraction(10) ** int(found["power"])
            mantissa = found["mantissa"].replace(".", "").lstrip("0")
            decimal = "." in found["mantissa"] or found["power"][0] == "-"
            places = len(found["mantissa"].partition(".")[2]) - int(found["power"])
            return ("num", value, len(mantissa) if decimal else None, places if decimal else None), found.end()
    for separator in (",", "\u201a", " ", "."):
        if separator == "," and not grouped:
            continue
        if found := _GROUPS[separator].match(text, position):
            digits = re.sub(r"[,\u201a \u2009]", "", found[0])
            return _decimal(digits.replace(".", "") if separator == "." else digits), found.end()
    if grouped and (found := _MIXED_GROUPS.match(text, position)):
        return _decimal(re.sub(r"[,\u201a]", "", found[0])), found.end()
    if found := _DECIMAL_COMMA.match(text, position):
        return _decimal(f"{found[1]}.{found[2]}"), found.end()
    if found := _POINT.match(text, position):
        return _decimal(found[0]), found.end()
    return None


def _decimal(digits: str) -> Tree:
    if digits.startswith("."):
        digits = f"0{digits}"
    return number(Fraction(digits), digits=digits if "." in digits else None)


def _repeating(whole: str, start: str, block: str) -> Tree:
    scale = 10 ** len(start)
    value = Fraction(int(whole or "0")) + Fraction(int(start or "0"), scale)
    return number(value + Fraction(int(block), scale * (10 ** len(block) - 1)))


def _dotted(whole: str, digits: str) -> Tree:
    """A decimal that goes on: the block that stands there three times at least, or a rounded decimal."""
    for start in range(len(digits)):
        rest = digits[start:]
        for size in range(1, len(rest) // 3 + 1):
            if len(rest) % size == 0 and rest == rest[:size] * (len(rest) // size):
                return _repeating(whole, digits[:start], rest[:size])
    return _decimal(f"{whole}.{digits}")


def plain(tree: Any) -> Any:
    """A tree without the counts of its decimals' digits: what two notations of one spelling have in common."""
    if isinstance(tree, tuple):
        if tree and tree[0] == "num":
            return ("num", tree[1], tree[2] is None)
        return tuple(plain(part) for part in tree)
    return tree
