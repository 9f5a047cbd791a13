"""Finds what verl and vLLM printed during one trial.

They print to their slot's log, and a slot runs many trials: beside each attempt at a trial lies where in which log it
begins. It ends where the slot's next attempt begins, or at the end of the log.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweep.input.errors import UserError, did_you_mean, in_shell
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.study_folder import DATABASE, PLAN_FILE, attempts, read_plan
from sweep.store.study_store import runs_here

PLACE_FILE = "log.json"
_POLL_SECONDS = 0.3
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Place:
    """Where an attempt's part of a slot's log lies.

    Attributes:
        log: The slot's log.
        begin: Its first byte.
        end: The byte after its last; None for the end of the log.
    """

    log: Path
    begin: int
    end: int | None

    def read(self, *, position: int) -> bytes:
        """What stands there from a position on, at most a megabyte."""
        end = self.log.stat().st_size if self.end is None else self.end
        with self.log.open("rb") as file:
            file.seek(position)
            return file.read(max(0, min(end - position, _CHUNK)))


def note_place(*, log: Path, folder: Path) -> int:
    """Write into an attempt's folder where its part of a log begins, which is the log's end now; returns the place."""
    folder.mkdir(parents=True, exist_ok=True)
    begin = log.stat().st_size
    # Relative, so that an output folder can be moved as a whole.
    (folder / PLACE_FILE).write_text(
        json.dumps({"log": os.path.relpath(log, folder), "begin": begin}), encoding="utf-8"
    )
    return begin


def _check_began_at_all(*, output: Path, trial: str) -> None:
    """Say why a trial that has ended printed nothing."""
    if not (output / DATABASE).is_file():
        return
    run = next((run for run in recorded_runs(output) if run.trial == trial), None)
    if run is not None and run.same_as:
        raise UserError(f"trial {trial} was not trained: it is the same as {run.same_as}, which has the log")
    if run is not None and run.state == "finished":
        raise UserError(f"trial {trial} is a replay, for which neither verl nor vLLM was started")


def find_attempt(*, output: Path, trial: str, attempt: int | None) -> Path:
    """The folder of an attempt at a trial, by default of the last.

    Raises:
        UserError: There is no such trial or attempt, or none yet.
    """
    keys = trial_keys(output)
    if trial not in keys:
        raise UserError(f"{output} has no trial {trial!r}{did_you_mean(trial, keys)}")
    folders = attempts(output, trial)
    if not folders:
        _check_began_at_all(output=output, trial=trial)
        raise UserError(
            f"trial {trial} has not begun; see `iskpo-sweep status {in_shell(output)}`, or wait for it with --follow"
        )
    if attempt is None:
        return folders[-1]
    named = {int(folder.name.removeprefix("attempt_")): folder for folder in folders}
    if attempt not in named:
        raise UserError(f"trial {trial} has no attempt {attempt}; there are {', '.join(map(str, named))}")
    return named[attempt]


def trial_keys(output: Path) -> list[str]:
    """Keys of a study's trials.

    Raises:
        UserError: The folder's plan cannot be read.
    """
    trials = read_plan(output).get("trials")
    if not isinstance(trials, list):
        what = f"holds no study (no readable {PLAN_FILE})" if output.is_dir() else "is not a folder"
        raise UserError(f"{output} {what}; give the --output of a run{runs_here()}")
    return [str(trial["key"]) for trial in trials]


def place_of(folder: Path, *, output: Path) -> Place:
    """Where an attempt's part of a log lies.

    Raises:
        UserError: It is not known, because the run is from before it was noted, or the log is gone.
    """
    begin, log = _noted(folder)
    if log is None or not log.is_file():
        logs = " ".join(str(path) for path in sorted(output.glob("slots/*/slot.log"))) or "no slot kept a log"
        raise UserError(f"where {folder} begins in its slot's log was not noted; whole logs: {logs}")
    others = (_noted(path) for path in output.glob("trials/*/attempt_*"))
    later = [start for start, other in others if other == log and start > begin]
    return Place(log=log, begin=begin, end=min(later, default=None))


def _noted(folder: Path) -> tuple[int, Path | None]:
    try:
        noted = json.loads((folder / PLACE_FILE).read_text(encoding="utf-8"))
        return int(noted["begin"]), (folder / noted["log"]).resolve()
    except (OSError, ValueError, KeyError, TypeError):
        return 0, None


def has_ended(folder: Path) -> bool:
    """Whether an attempt has said its last word."""
    try:
        last = (folder / "events.jsonl").read_text(encoding="utf-8").rstrip("\n").rpartition("\n")[2]
        return json.loads(last)["kind"] in ("finished", "failed")
    except (OSError, ValueError, KeyError):
        return False


def chunks(*, output: Path, folder: Path, follow: bool, lines: int | None = None) -> Iterator[bytes]:
    """An attempt's part of the log, piece by piece.

    Args:
        output: The study's folder.
        folder: The attempt's.
        follow: Go on with what is added, until the attempt ends.
        lines: Begin with so many last lines of what is there; None for all.
    """
    place = place_of(folder, output=output)
    position = place.begin if lines is None else _last_lines(place, lines)
    while True:
        # Looked at first: what was printed before the last word is then read after it.
        ended = not follow or has_ended(folder)
        while data := place.read(position=position):
            position += len(data)
            yield data
        if ended:
            return
        time.sleep(_POLL_SECONDS)
        place = place_of(folder, output=output)


def _last_lines(place: Place, lines: int) -> int:
    """The byte at which the last so many lines begin."""
    text, position = b"", place.begin
    while data := place.read(position=position):
        position += len(data)
        text += data
    return position - sum(map(len, text.splitlines(keepends=True)[-lines:] if lines else []))
