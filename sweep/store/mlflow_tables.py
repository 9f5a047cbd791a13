"""What is read of MLflow's tables without MLflow's client; `sweep.store.mlflow_writes` has what is written.

The client takes 13 s to read ten thousand runs, and one call more for each metric's history. The study's own SQLite
file answers the same in a few queries.

The layout of its tables follows MLflow's version, which is pinned. A file with another schema revision is refused, by
commands that only read as well: a wrong guess at the layout would show as a wrong number, and MLflow's client, which
all other commands need, refuses such a file too. A run that somebody deleted in MLflow's pages stays in the file until
`mlflow gc`; it counts as not there, as it does for MLflow's client.
"""

import contextlib
import math
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sweep.input.errors import UserError
from sweep.store.study_folder import DATABASE, owner, tracking_uri

# The schema revision of the pinned MLflow version, and of every folder that it made.
REVISION = "dc11669786a5"
# MLflow itself waits that long for another process that writes.
_PATIENCE_SECONDS = 60.0
# Metrics whose last step is the trial's: one of every training step, with a filter or without.
_EVERY_STEP = ("kalman/gain_mean", "reward/mean")
# Samples of the machine: the step of such a metric counts the samples and is no training step.
_MACHINE = "system/*"
_PARENT = "mlflow.parentRunId"


@contextlib.contextmanager
def open_tables(
    output: Path, *, write: bool = False, patience: float = _PATIENCE_SECONDS
) -> Iterator[sqlite3.Connection]:
    """Open a study's tables as they are at one moment, and never create them.

    Args:
        output: The study's folder.
        write: Keep all other writers out, and commit at the end.
        patience: Seconds to wait for another process that writes.

    Raises:
        UserError: Another version of MLflow made the tables.
        sqlite3.Error: They cannot be read now.
    """
    # Not read-only: after a kill, the first to look must undo the half of a write that is there.
    address = f"{(output / DATABASE).resolve().as_uri()}?mode=rw"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=patience)) as tables:
        if write:
            tables.execute("PRAGMA journal_mode=PERSIST").fetchall()
        _check_revision(tables, output)
        with tables:
            tables.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            yield tables


def _check_revision(tables: sqlite3.Connection, output: Path) -> None:
    found = [revision for (revision,) in tables.execute("SELECT version_num FROM alembic_version")]
    if found == [REVISION]:
        return
    if not found or owner(output) is not None:
        # MLflow passes through its older revisions while it makes the tables of a new study.
        raise sqlite3.OperationalError(f"the tables of {output / DATABASE} are still being made")
    raise _another_version(output / DATABASE, found, address=tracking_uri(output))


def _another_version(database: Path, found: list[str], *, address: str) -> UserError:
    return UserError(
        f"{database} was written by another version of MLflow: its schema revision is {', '.join(found)}, and "
        f"this version of iskpo-sweep reads {REVISION}. If an older MLflow wrote it, copy the file and run "
        f"`mlflow db upgrade {address}`; if a newer one did, open it with the iskpo-sweep that did"
    )


def copy_tables(database: Path, to: Path) -> None:
    """Copy another program's MLflow database as it is at one moment; the file itself is only read.

    MLflow's client works on the copy, because it adds tables to whatever SQLite file it is given.

    Args:
        database: The file.
        to: The copy, which must not exist.

    Raises:
        UserError: It is not MLflow's, another version of MLflow made it, or it cannot be read.
    """
    try:
        theirs = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_SECONDS)
        with contextlib.closing(theirs), contextlib.closing(sqlite3.connect(to)) as ours:
            tables = {name for (name,) in theirs.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if missing := {"alembic_version", "experiments", "runs", "metrics"} - tables:
                raise UserError(f"{database} is no SQLite file of MLflow: it has no table {min(missing)}")
            found = [revision for (revision,) in theirs.execute("SELECT version_num FROM alembic_version")]
            if found != [REVISION]:
                raise _another_version(database, found, address="sqlite:///COPY")
            theirs.backup(ours)
    except sqlite3.Error as error:
        raise UserError(f"{database} cannot be read: {error}") from None


@dataclass(frozen=True)
class RecordedRun:
    """A run as MLflow has it: a trial's, or the study's own.

    Attributes:
        run_id: MLflow's.
        name: Its name.
        experiment: Name of its experiment.
        experiment_id: MLflow's.
        status: MLflow's, such as ``RUNNING``.
        start_time: When its first attempt began, milliseconds since 1970.
        end_time: When it ended; None where it has not.
        step: Its last training step.
        tags: Its tags.
        params: Its parameters in the order in which they were logged, where they were asked for.
        metrics: Last finite value of each metric that was asked for.
    """

    run_id: str
    name: str
    experiment: str
    experiment_id: str
    status: str
    start_time: int
    end_time: int | None
    step: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def trial(self) -> str:
        """The trial's key; "" for the study's own run."""
        return self.tags.get("iskpo.trial", "")

    @property
    def state(self) -> str:
        """``running``, ``finished``, ``failed``, ``interrupted`` or ``stopped early``."""
        return self.tags.get("iskpo.state", "running")

    @property
    def attempts(self) -> int:
        """How often the trial was begun."""
        return int(self.tags.get("iskpo.attempts", "1"))

    @property
    def reason(self) -> str:
        """Why it failed, or why it is the same as another; else ""."""
        return self.tags.get("iskpo.reason", "")

    @property
    def began(self) -> int:
        """When the last attempt began, milliseconds since 1970."""
        return int(self.tags.get("iskpo.restarted", self.start_time))

    @property
    def same_as(self) -> str:
        """Key of the trial whose numbers it has, since it was proved to be the same; "" for one that was trained."""
        return self.tags.get("iskpo.same_as", "")

    @property
    def taken_from(self) -> str:
        """Folder and run of the study that trained it; "" for one that this study ran."""
        return self.tags.get("iskpo.taken_from", "")

    @property
    def seconds(self) -> float | None:
        """Wall time of the last attempt, until now where it has not ended; None where the clock was turned back."""
        ended = time.time() if self.state == "running" or self.end_time is None else self.end_time / 1000
        began = self.began / 1000
        return ended - began if ended >= began else None


def read_runs(
    tables: sqlite3.Connection, *, metrics: tuple[str, ...] = (), params: bool = False, run_id: str = ""
) -> list[RecordedRun]:
    """Every run that nobody deleted, in the order in which they began.

    Args:
        tables: From `open_tables`.
        metrics: Metrics wanted, as patterns of SQLite's GLOB.
        params: Whether parameters are wanted.
        run_id: This run alone.
    """
    one, which = (" AND run_uuid = ?", (run_id,)) if run_id else ("", ())
    texts: dict[str, dict[str, dict[str, str]]] = {"tags": defaultdict(dict), "params": defaultdict(dict)}
    for table in ("tags", "params") if params else ("tags",):
        for run, key, value in tables.execute(
            f"SELECT run_uuid, key, value FROM {table} WHERE 1{one} ORDER BY rowid", which
        ):
            texts[table][run][key] = value
    last: dict[str, dict[str, float]] = defaultdict(dict)
    steps: dict[str, int] = defaultdict(int)
    query = (
        "SELECT run_uuid, key, value, step, is_nan FROM latest_metrics "
        f"WHERE {_any(metrics + _EVERY_STEP)}{one} ORDER BY rowid"
    )
    for run, key, value, step, is_nan in tables.execute(query, (*metrics, *_EVERY_STEP, *which)):
        if key in _EVERY_STEP:
            steps[run] = max(steps[run], step)
        if not is_nan and math.isfinite(value):
            last[run][key] = value
    rows = tables.execute(
        "SELECT run_uuid, runs.name, experiments.name, CAST(experiment_id AS TEXT), status, start_time, end_time "
        "FROM runs JOIN experiments USING (experiment_id) "
        f"WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'{one} "
        "ORDER BY start_time, runs.rowid",
        which,
    )
    return [
        RecordedRun(
            run_id=run,
            name=name,
            experiment=experiment,
            experiment_id=experiment_id,
            status=status,
            start_time=start_time,
            end_time=end_time,
            step=steps[run],
            tags=texts["tags"][run],
            params=texts["params"][run],
            metrics=last[run],
        )
        for run, name, experiment, experiment_id, status, start_time, end_time in rows
    ]


def recorded_runs(output: Path, *, metrics: tuple[str, ...] = (), params: bool = False) -> list[RecordedRun]:
    """The run of every trial that has one; see `read_runs`."""
    with open_tables(output) as tables:
        return [run for run in read_runs(tables, metrics=metrics, params=params) if run.trial]


def latest_study(
    output: Path, *, metrics: tuple[str, ...] = (), params: bool = False
) -> tuple[RecordedRun | None, dict[str, RecordedRun]]:
    """The run of the study that began last, None where none has; and its trials' runs by key, of each the latest."""
    with open_tables(output) as tables:
        runs = read_runs(tables, metrics=metrics, params=params)
    study = next((run for run in reversed(runs) if run.tags.get("iskpo.kind") == "study"), None)
    return study, {run.trial: run for run in runs if study and run.trial and run.tags.get(_PARENT) == study.run_id}


def metric_points(output: Path, patterns: tuple[str, ...], *, run_id: str = "") -> list[tuple[str, str, int, float]]:
    """Every point of metrics as run, metric, training step and value, in the order of their logging, without NaN.

    Args:
        output: The study's folder.
        patterns: Metrics wanted, as patterns of SQLite's GLOB; samples of the machine are left out.
        run_id: This run alone.
    """
    one, which = (" AND run_uuid = ?", (run_id,)) if run_id else ("", ())
    query = (
        "SELECT run_uuid, key, step, value FROM metrics "
        f"WHERE {_any(patterns)} AND key NOT GLOB ? AND NOT is_nan{one} ORDER BY rowid"
    )
    with open_tables(output) as tables:
        return tables.execute(query, (*patterns, _MACHINE, *which)).fetchall()


def _any(patterns: tuple[str, ...]) -> str:
    return f"({' OR '.join(['key GLOB ?'] * len(patterns))})"


def count_points(tables: sqlite3.Connection, runs: Iterable[str]) -> dict[str, int]:
    """Points of all metrics of each of these runs."""
    query = "SELECT COUNT(*) FROM metrics WHERE run_uuid = ?"
    return {run: tables.execute(query, (run,)).fetchone()[0] for run in runs}


def points_to_deliver(tables: sqlite3.Connection, run_id: str) -> list[tuple[str, float, int, int]]:
    """A run's points as metric, value, time in milliseconds and step, in the order of their logging."""
    query = "SELECT key, value, timestamp, step FROM metrics WHERE run_uuid = ? ORDER BY rowid"
    return tables.execute(query, (run_id,)).fetchall()
