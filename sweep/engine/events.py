"""What a slot says while it runs a trial, kept as one JSON line an event in the trial's folder.

The file is the durable record: a reader can stop and go on where it was, and nothing is lost when the reader dies.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

Kind = Literal["progress", "step", "samples", "traces", "finished", "failed"]


@dataclass(frozen=True)
class Event:
    """One thing that happened in a trial.

    Attributes:
        kind: ``progress`` (a sign of life), ``step`` (metrics of a training step), ``samples`` (an evaluation's file),
            ``traces`` (a step's log ratios), ``finished`` or ``failed`` (the last event of a trial).
        step: Training step, 0 before the first.
        metrics: Name to value; only finite numbers.
        text: Path of the samples or traces, name of the phase, or the reason of a failure.
    """

    kind: Kind
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    text: str = ""


def finite_numbers(data: dict[str, Any]) -> dict[str, float]:
    """The entries that are finite numbers, as Python floats; infinities and NaN have no JSON and no chart."""
    numbers: dict[str, float] = {}
    for name, value in data.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            numbers[name] = number
    return numbers


class EventWriter:
    """Appends events to a file, each flushed before the call returns."""

    def __init__(self, path: Path) -> None:
        """Open the file for appending, and create its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a", encoding="utf-8")

    def write(self, event: Event) -> None:
        """Append one event."""
        self._file.write(json.dumps(event.__dict__) + "\n")
        self._file.flush()

    @property
    def closed(self) -> bool:
        """Whether the file has been closed: the trial is over."""
        return self._file.closed

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class EventReader:
    """Reads events from a file that another process is still writing."""

    def __init__(self, path: Path) -> None:
        """Begin at the start; the file may not exist yet."""
        self._path, self._position = path, 0

    def read(self) -> list[Event]:
        """Every complete line that has been added since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._position += end
        return [Event(**json.loads(line)) for line in data[:end].splitlines()]
