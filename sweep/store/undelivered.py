"""What of a study an MLflow server has not been given yet; read without MLflow, whose import takes seconds."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

DELIVERED = "delivered.jsonl"
_PARENT = "mlflow.parentRunId"


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
class Stored:
    """One run as the study's own store has it; `experiment` is the name of its experiment."""

    run: str
    experiment: str
    name: str
    status: str
    began: int
    ended: int | None
    points: int
    tags: dict[str, str]

    @property
    def attempt(self) -> str:
        """Which attempt at the trial its points are of."""
        return self.tags.get("iskpo.attempts", "1")

    def lacks(self, known: Delivered | None) -> int:
        """What the server lacks of it: points, and one more for whatever else differs."""
        if known is None or known.attempt != self.attempt:
            return self.points + 1
        return max(self.points - known.points, 0) + ((known.status, known.tags) != (self.status, self.tags))


def undelivered(output: Path) -> int:
    """Points, and changed runs, that the server of a study has not been given; 0 for a study without a server."""
    if not (output / DELIVERED).exists():
        return 0
    known = noted(output)
    with closing(open_store(output)) as store:
        return sum(stored.lacks(known.get(stored.run)) for stored in stored_runs(store))


def noted(output: Path) -> dict[str, Delivered]:
    """The last delivery of each run, by run."""
    path, known = output / DELIVERED, {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            delivered = Delivered(**json.loads(line))
        except ValueError:
            # Empty, or cut off by a kill: that delivery is made again.
            continue
        known[delivered.run] = delivered
    return known


def open_store(output: Path) -> sqlite3.Connection:
    """The study's own store as it is at one moment, to read."""
    store = sqlite3.connect(f"{(output.resolve() / 'mlflow.db').as_uri()}?mode=ro", uri=True, timeout=10)
    # One moment of the store: a trial that begins again loses its points and changes its attempt in between.
    store.execute("BEGIN")
    return store


def stored_runs(store: sqlite3.Connection, *, run: str | None = None) -> list[Stored]:
    """One run, or every run, a study's before its trials', which name it."""
    only, which = ("WHERE run_uuid = ?", (run,)) if run else ("", ())
    tags: dict[str, dict[str, str]] = {}
    for key_of, key, value in store.execute(f"SELECT run_uuid, key, value FROM tags {only}", which):
        tags.setdefault(key_of, {})[key] = value
    points = dict(store.execute(f"SELECT run_uuid, COUNT(*) FROM metrics {only} GROUP BY run_uuid", which))
    runs = store.execute(
        "SELECT run_uuid, experiments.name, runs.name, status, start_time, end_time FROM runs "
        f"JOIN experiments USING (experiment_id) {only} ORDER BY start_time, runs.rowid",
        which,
    )
    found = [
        Stored(key, experiment, name, status, began, ended, points.get(key, 0), tags.get(key, {}))
        for key, experiment, name, status, began, ended in runs
    ]
    return sorted(found, key=lambda stored: _PARENT in stored.tags)
