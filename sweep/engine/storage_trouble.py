"""A study whose disk is full or whose files are locked ends with one line that says so; `resume` then goes on.

MLflow waits 20 seconds for another process that holds its file, and Optuna 60. After that, and at once where the disk
is full, each raises something of its own, and Ray Tune passes on its text alone. Nothing is lost: a trial counts once
MLflow has its end, and Optuna is told after that.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sweep.input.errors import StudyCutOff, UserError

_REASONS = {
    "database is locked": "another process has kept {output}'s mlflow.db or optuna.db locked: end it",
    "database or disk is full": "the disk of {output} is full: make room",
    "No space left on device": "a disk is full, that of {output} or of the temp folder: make room",
    "Disk quota exceeded": "the disk quota of {output} is used up: make room",
    "disk I/O error": "the disk of {output} cannot be written to (full, read-only or gone): mend it",
    "attempt to write a readonly database": "{output}'s mlflow.db or optuna.db has become read-only: change that",
}


@contextlib.contextmanager
def said_clearly(output: Path) -> Iterator[None]:
    """Turn what a full disk or a locked file raises inside into one line.

    Raises:
        StudyCutOff: One of them.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not (reason := _reason(error)):
            raise
        raise StudyCutOff(
            f"{reason.format(output=output)}, and go on with `iskpo-sweep resume {output}`; "
            "what had finished is recorded"
        ) from None


def _reason(error: BaseException | None) -> str:
    """Of the error, or of one that it came from or that it interrupted."""
    while error is not None:
        for text, reason in _REASONS.items():
            if text in str(error):
                return reason
        error = error.__cause__ or error.__context__
    return ""
