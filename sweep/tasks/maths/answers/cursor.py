"""A place in a text that is being read, and what stands there."""

import re

_DEEPEST = 60
_COMMAND = re.compile(r"\\([A-Za-z]+|.) ?")


class UnreadableError(Exception):
    """The text is in no notation that is known here."""


class Cursor:
    """Reads a cleaned answer from left to right.

    Args:
        text: The answer, from `clean`.
    """

    def __init__(self, text: str) -> None:
        """Begin at its start."""
        self._text, self._at, self._depth = text, 0, 0
        self._bars = 0
        self._brackets = 0
        self._turned = False

    def _peek(self) -> str:
        text, at = self._text, self._at
        while at < len(text) and text[at] in " \u2009":
            at += 1
        self._at = at
        return text[at : at + 1]

    def _sees(self, *starts: str) -> str | None:
        self._peek()
        for start in starts:
            if self._text.startswith(start, self._at):
                return start
        return None

    def _take(self, *starts: str) -> str | None:
        if (found := self._sees(*starts)) is not None:
            self._at += len(found)
        return found

    def _need(self, start: str) -> None:
        if self._take(start) is None:
            raise UnreadableError(f"{start} is missing")

    def _command(self) -> str | None:
        self._peek()
        found = _COMMAND.match(self._text, self._at)
        return found[1] if found else None

    def _take_command(self) -> str:
        found = _COMMAND.match(self._text, self._at)
        if found is None:
            raise UnreadableError("a command is missing")
        self._at = found.end()
        return found[1]

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UnreadableError("too deeply nested")
