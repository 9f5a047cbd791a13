"""What an MLflow server has not been given of a study yet; read without MLflow, whose import takes seconds.

``delivered.jsonl`` has a line for each delivery of a run's points, and ``delivered_files.jsonl`` for each file that was
sent; both are only ever added to. A file that has changed since is sent again, as a study's own are when it is resumed.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from sweep.store.mlflow_tables import RecordedRun, count_points, open_tables, read_runs
from sweep.store.study_folder import artifact_folder

DELIVERED = "delivered.jsonl"
SENT = "delivered_files.jsonl"


@dataclass(frozen=True)
class Delivered:
    """How much of one run the server has.

    Attributes:
        run: The run in the study's own store.
        remote: The run on the server.
        attempt: Which attempt at the trial that run holds.
        points: Points of metrics that it has, the first so many of the store's.
        status: Its status.
        tags: Its tags.
    """

    run: str
    remote: str
    attempt: str
    points: int = 0
    status: str = "RUNNING"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SentFile:
    """A file on the server.

    Attributes:
        remote: The run there.
        path: Its path among the run's artifacts; "" notes that the server takes no files, and `stamp` then says why.
        stamp: Size and time of change when it was sent.
    """

    remote: str
    path: str
    stamp: str


_Line = TypeVar("_Line", Delivered, SentFile)


def what_is_lacking(output: Path, known: dict[str, Delivered]) -> dict[str, int]:
    """What the server lacks of each run, in points and one more for whatever else differs; a study before its trials.

    Args:
        output: The study's folder.
        known: From `noted`.
    """

    def is_same(run: RecordedRun) -> bool:
        has = known.get(run.run_id)
        return has is not None and (has.attempt, has.status, has.tags) == (str(run.attempts), run.status, run.tags)

    def lacks(run: RecordedRun, points: int) -> int:
        has = known.get(run.run_id)
        if has is None or has.attempt != str(run.attempts):
            return points + 1
        return max(points - has.points, 0) + (not is_same(run))

    with open_tables(output) as tables:
        # A run has all its points once it has ended. Counting them again every few seconds would take as long as the
        # whole study is large, while whoever writes to it waits.
        runs = [run for run in read_runs(tables) if run.status == "RUNNING" or not is_same(run)]
        points = count_points(tables, [run.run_id for run in runs])
    # Trials name their study's run, which the server must have first.
    runs.sort(key=lambda run: bool(run.trial))
    return {run.run_id: lacking for run in runs if (lacking := lacks(run, points[run.run_id]))}


def undelivered(output: Path) -> int:
    """Points, and changed runs, that the server of a study has not been given; 0 for a study without a server."""
    if not (output / DELIVERED).exists():
        return 0
    return sum(what_is_lacking(output, noted(output)).values())


def noted(output: Path) -> dict[str, Delivered]:
    """The last delivery of each run, by run."""
    return {delivered.run: delivered for delivered in _lines(output / DELIVERED, Delivered)}


def note(path: Path, entry: Delivered | SentFile) -> None:
    """Add a line."""
    with path.open("a", encoding="utf-8") as file:
        # A line that a kill cut off is ended first.
        file.write(f"\n{json.dumps(asdict(entry))}")


def _lines(path: Path, kind: type[_Line]) -> Iterator[_Line]:
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
        # An empty line, or one that a kill cut off: that delivery is made again.
        with contextlib.suppress(ValueError):
            yield kind(**json.loads(line))


def sent_files(output: Path) -> dict[tuple[str, str], str]:
    """Stamp of each file that was sent, by run and path; the latest of each."""
    return {(sent.remote, sent.path): sent.stamp for sent in _lines(output / SENT, SentFile)}


def unsent_files(output: Path, *, of: dict[str, Delivered], sent: dict[tuple[str, str], str]) -> Iterator[SentFile]:
    """Files of the runs that the server knows, and lacks.

    Args:
        output: The study's folder.
        of: The runs, by their id in the study's own store.
        sent: From `sent_files`.
    """
    for run, known in sorted(of.items()):
        folder = artifact_folder(output, run)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name, found = path.relative_to(folder).as_posix(), path.stat()
                stamp = f"{found.st_size}/{found.st_mtime_ns}"
                if sent.get((known.remote, name)) != stamp:
                    yield SentFile(known.remote, name, stamp)


def count_unsent(output: Path) -> tuple[int, str]:
    """How many files the server lacks of the runs that it knows, and why it takes none where it does not."""
    sent = sent_files(output)
    refusals = [stamp for (_, path), stamp in sent.items() if not path]
    return sum(1 for _ in unsent_files(output, of=noted(output), sent=sent)), refusals[-1] if refusals else ""
