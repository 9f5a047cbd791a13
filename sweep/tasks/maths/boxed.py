r"""Where the answer stands in a response: inside the last ``\boxed{...}``, or the last ones that stand side by side."""

import re

_COMMAND = r"\boxed"
_BETWEEN = re.compile(r"(?:[\s$,;&]|\\[()\[\],;: ]|\\q?quad\b|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)*")
"""What may stand between the boxes of one answer: white space, separators, *and* and *or*."""
_MOST_BOXES = 20
_MOST_MENTIONS = 100
# Between two digits white space means something.
_SPACE = re.compile(r"(?<!\d)\s+|\s+(?!\d)")

MAX_ANSWER_CHARACTERS = 512
"""The longest answer that is looked at; the longest of MATH-500 has 53 characters."""


def last_boxed(text: str) -> str | None:
    r"""What the last ``\boxed{...}`` holds, stripped, or None.

    Boxes with nothing between them but a comma, *and*, *or* or white space are one answer in parts, and whoever boxes
    1, 2 and 3 side by side has answered with all three. A box that is empty, or that is only mentioned, is passed over.
    One whose braces do not close, as in a response that was cut off, or do not within ``MAX_ANSWER_CHARACTERS``, makes
    the answer None: an earlier box would be a guess at what the response was going to say. Reads every character at
    most once, so a response of megabytes costs milliseconds.

    >>> last_boxed(r"First \boxed{1}, then \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    >>> last_boxed(r"\boxed{(2,2)} and \boxed{(6,2)}")
    '(2,2) \\text{ and } (6,2)'
    >>> last_boxed(r"\boxed{1} and \boxed{\frac{1}{2}") is None
    True
    """
    start = len(text)
    for _ in range(_MOST_MENTIONS):
        if (start := text.rfind(_COMMAND, 0, start)) < 0:
            return None
        opening = _opening(text, start)
        if opening < 0:
            continue
        if (end := _closing(text, opening)) is None:
            return None
        if content := text[opening + 1 : end].strip():
            return _with_neighbours(text, start, content)
    return None


def _with_neighbours(text: str, start: int, content: str) -> str | None:
    """The content of a box with that of the boxes right before it."""
    parts, joints = [content], []
    while len(parts) < _MOST_BOXES and (before := text.rfind(_COMMAND, 0, start)) >= 0:
        opening = _opening(text, before)
        end = _closing(text, opening) if opening >= 0 else None
        between = text[end + 1 : start] if end is not None and end < start else "none"
        if start - before > 2 * MAX_ANSWER_CHARACTERS or not _BETWEEN.fullmatch(between):
            break
        if earlier := text[opening + 1 : end].strip():
            parts.append(earlier)
            joints.append(next((rf" \text{{ {word} }} " for word in ("or", "and") if word in between), ", "))
        start = before
    if len(set(parts)) == 1:
        return content
    answer = parts.pop()
    while parts:
        answer += joints.pop() + parts.pop()
    return answer if len(answer) <= MAX_ANSWER_CHARACTERS else None


def _opening(text: str, start: int) -> int:
    """Where the brace of a box opens, -1 where none follows."""
    start += len(_COMMAND)
    while start < len(text) and text[start] == " ":
        start += 1
    return start if text[start : start + 1] == "{" else -1


def _closing(text: str, opening: int) -> int | None:
    """Where the brace closes, None where it does not in time."""
    depth, position, end = 0, opening, min(len(text), opening + MAX_ANSWER_CHARACTERS + 2)
    while position < end:
        character = text[position]
        if character == "\\":
            position += 1  # \{ and \} are braces that are printed, not ones that group
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    return None


def same_text(answer: str, truth: str) -> bool:
    """Whether two answers are the same text but for white space that means nothing: ``1 1/2`` is not ``11/2``.

    >>> same_text("( 1, 2 )", "(1,2)"), same_text("1 1/2", "11/2")
    (True, False)
    """
    return _SPACE.sub("", answer.strip()) == _SPACE.sub("", truth.strip())
