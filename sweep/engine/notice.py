"""SIGTERM, by which SLURM and spot machines say that they will take the machine away.

Every trial that is within a step finishes it, writes a checkpoint and ends; then the command ends as by Ctrl-C. A trial
that is still starting has nothing to save. The second SIGTERM, and Ctrl-C, end the command at once.
"""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sweep.store import study_folder


class Notice:
    """Passes SIGTERM on to the trials of a study that writes checkpoints.

    Args:
        output: The study's folder, in which the trials look for it.
    """

    def __init__(self, *, output: Path) -> None:
        """Nothing has come yet."""
        self._file = study_folder.notice(output)
        self._given = False
        self._within_steps: set[str] = set()

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Listen for the signal; to be entered after ``ray.init``, which takes it for itself."""
        before = signal.signal(signal.SIGTERM, self._receive)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def steps(self, trial: str) -> None:
        """A trial is within a step."""
        self._within_steps.add(trial)

    def rests(self, trial: str) -> None:
        """A trial has ended, or has written the checkpoint that it was asked for, or begins again.

        Raises:
            KeyboardInterrupt: It was the last that the command waited for.
        """
        self._within_steps.discard(trial)
        if self._given and not self._within_steps:
            raise KeyboardInterrupt

    def _receive(self, *_: Any) -> None:
        if self._given or not self._within_steps:
            raise KeyboardInterrupt
        self._given = True
        self._file.touch()
        print(
            "SIGTERM: the command ends once each trial that runs has finished its step and written a checkpoint; "
            "a second one ends it at once",
            file=sys.stderr,
            flush=True,
        )
