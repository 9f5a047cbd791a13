r"""Where the answer stands in a response: inside the last ``\boxed{...}``."""

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
