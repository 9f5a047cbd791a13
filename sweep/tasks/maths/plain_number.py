r"""Whole numbers and fractions as they are usually written, without LaTeX's reader, which takes milliseconds."""

import re
from fractions import Fraction

_DIGITS = r"[0-9]{1,32}"
_PLAIN = re.compile(
    rf"(?P<sign>[+-]?)\s*(?:(?P<whole>{_DIGITS})"
    rf"|\\[dt]?frac\s*\{{\s*(?P<over>{_DIGITS})\s*\}}\s*\{{\s*(?P<under>{_DIGITS})\s*\}}"
    r"|\\[dt]?frac\s*(?P<one_over>[0-9])(?P<one_under>[0-9])"
    rf"|(?P<left>{_DIGITS})\s*/\s*(?P<right>{_DIGITS}))",
    re.ASCII,
)


def plain_number(text: str) -> Fraction | None:
    r"""The value of ``7``, ``-3/4``, ``\frac{3}{4}``, ``\dfrac34`` and their like; None for anything else.

    Decimals are not among them: whether ``0.333`` is a third is a question of tolerance, and math-verify's to answer.

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
