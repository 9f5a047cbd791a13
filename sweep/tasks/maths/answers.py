r"""Reads the answer in a response, inside the last ``\boxed{...}``, and whole numbers and fractions among answers.

The numbers are read as they are usually written, without LaTeX's reader, which takes milliseconds.
"""

import re
from fractions import Fraction

_COMMAND = r"\boxed"

MAX_ANSWER_CHARACTERS = 512
"""The longest answer that is looked at; the longest of MATH-500 has 53 characters."""


def last_boxed(text: str) -> str | None:
    r"""What the last ``\boxed{...}`` holds, stripped, or None.

    None as well when its braces do not close, as in a response that was cut off, or do not within
    ``MAX_ANSWER_CHARACTERS``: an earlier box would be a guess at what the response was going to say. Reads every
    character at most once, so a response of megabytes costs milliseconds.

    >>> last_boxed(r"First \boxed{1}, then \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    >>> last_boxed(r"\boxed{1} and \boxed{\frac{1}{2}") is None
    True
    """
    start = text.rfind(_COMMAND)
    if start < 0:
        return None
    start += len(_COMMAND)
    while start < len(text) and text[start] == " ":
        start += 1
    if start == len(text) or text[start] != "{":
        return None
    depth, position, end = 0, start, min(len(text), start + MAX_ANSWER_CHARACTERS + 2)
    while position < end:
        character = text[position]
        if character == "\\":
            position += 1  # \{ and \} are braces that are printed, not ones that group
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return text[start + 1 : position].strip() or None
        position += 1
    return None


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
