"""What is written into MLflow's tables without MLflow's client, which takes 38 ms for a trial that itself took one."""

import sqlite3
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.store.mlflow_tables import open_tables
from sweep.store.study_folder import ARTIFACTS, owner

_LONGEST_TAG, _LONGEST_PARAM = 4900, 6000


def erase_metrics(output: Path, run_id: str) -> None:
    """Delete every metric of a run, so that the points of a trial's next attempt stand alone.

    MLflow has no call for it, and would draw and average two attempts' points at one step as one.
    """
    with open_tables(output, write=True) as tables:
        for table in ("metrics", "latest_metrics"):
            tables.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run_id,))


def move_artifacts(output: Path, *, patience: float) -> bool:
    """Give runs the addresses that their artifacts have in this folder; returns whether they had others.

    A study that is running is left alone: who runs it may see the folder under another path, as cluster nodes do.
    """
    here = (output.resolve() / ARTIFACTS).as_uri()
    query = "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'"
    with open_tables(output, patience=patience) as tables:
        before = [place for (place,) in tables.execute(query) if place != here and place.endswith(f"/{ARTIFACTS}")]
    if not before or owner(output) is not None:
        return False
    with open_tables(output, write=True, patience=patience) as tables:
        for place in before:
            tables.execute("UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (here, place))
            tables.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) WHERE substr(artifact_uri, 1, ?) = ?",
                (here, len(place) + 1, len(place) + 1, f"{place}/"),
            )
    return True


def insert_run(
    output: Path,
    *,
    experiment_id: str,
    name: str,
    status: str,
    started: float,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> str:
    """Write a run of one step that has ended, with everything in it, in one transaction.

    MLflow's client takes three calls and some seven transactions for it. A replayed trial has nothing to say before its
    end, so it is written at once, and there is never half of one.

    Args:
        output: The study's folder.
        experiment_id: MLflow's.
        name: The run's name.
        status: MLflow's, such as ``FINISHED``.
        started: When it began, seconds since 1970; it ends now.
        tags: Its tags.
        params: Its parameters.
        metrics: Its metrics; all are finite.

    Returns:
        The run's id.
    """
    run, now = uuid.uuid4().hex, int(1000 * time.time())
    row = {"status": status, "start_time": int(1000 * started), "end_time": now}
    points = [(run, key, value, now, 1, False) for key, value in metrics.items()]
    with open_tables(output, write=True) as tables:
        _insert(tables, output, run, row, experiment_id=experiment_id, name=name, tags=tags, params=params)
        _insert_points(tables, points)
    return run


def copy_run(
    output: Path,
    *,
    source: Path,
    run_id: str,
    more: Mapping[str, str],
    experiment_id: str,
    name: str,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
) -> str:
    """Write a run with the times and metrics of another study's, in one transaction.

    Args:
        output: The study's folder.
        source: The other study's folder.
        run_id: The other study's run.
        more: Further runs of it, each with the beginning of the names of metrics that are its, and not the run's.
        experiment_id: MLflow's, of the new run.
        name: Its name.
        tags: Its tags.
        params: Its parameters.

    Returns:
        The new run's id.
    """
    run = uuid.uuid4().hex
    columns = "key, value, timestamp, step, is_nan"
    with open_tables(source) as theirs:
        times = theirs.execute("SELECT status, start_time, end_time FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()
        points = {
            table: [
                (run, *point)
                for of, begins in {run_id: "", **more}.items()
                for point in theirs.execute(
                    f"SELECT {columns} FROM {table} WHERE run_uuid = ? AND key GLOB ? ORDER BY rowid",
                    (of, f"{begins}*"),
                )
            ]
            for table in ("metrics", "latest_metrics")
        }
    row = dict(zip(("status", "start_time", "end_time"), times, strict=True))
    with open_tables(output, write=True) as tables:
        _insert(tables, output, run, row, experiment_id=experiment_id, name=name, tags=tags, params=params)
        for table, entries in points.items():
            tables.executemany(f"INSERT INTO {table} (run_uuid, {columns}) VALUES (?, ?, ?, ?, ?, ?)", entries)
    return run


def _insert(
    tables: sqlite3.Connection,
    output: Path,
    run: str,
    row: Mapping[str, Any],
    *,
    experiment_id: str,
    name: str,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
) -> None:
    """Write a run without its metrics; ``row`` has how and when it ran."""
    user = "iskpo-sweep"
    row = {
        **row,
        "run_uuid": run,
        "name": name,
        "experiment_id": int(experiment_id),
        "user_id": user,
        "lifecycle_stage": "active",
        "artifact_uri": (output.resolve() / ARTIFACTS / run / "artifacts").as_uri(),
        "source_type": "UNKNOWN",
        **dict.fromkeys(("source_name", "entry_point_name", "source_version"), ""),
    }
    all_tags = {**tags, "mlflow.runName": name, "mlflow.user": user}
    texts = {
        "tags": [(run, key, value[:_LONGEST_TAG]) for key, value in all_tags.items()],
        "params": [(run, key, str(value)[:_LONGEST_PARAM]) for key, value in params.items()],
    }
    tables.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    for table, entries in texts.items():
        tables.executemany(f"INSERT INTO {table} (run_uuid, key, value) VALUES (?, ?, ?)", entries)


def insert_samples(output: Path, *, steps: Mapping[str, int], metrics: Mapping[str, float], patience: float) -> None:
    """Write the same metrics, measured now, into many runs in one transaction.

    Args:
        output: The study's folder.
        steps: Run to step.
        metrics: Finite values.
        patience: Seconds to wait for another process that writes.
    """
    now = int(1000 * time.time())
    with open_tables(output, write=True, patience=patience) as tables:
        _insert_points(
            tables,
            [(run, name, value, now, step, False) for run, step in steps.items() for name, value in metrics.items()],
        )


def _insert_points(tables: sqlite3.Connection, points: list[tuple[str, str, float, int, int, bool]]) -> None:
    """Write points as run, metric, value, time in milliseconds, step and whether it is NaN, as the latest of each."""
    for table in ("metrics", "latest_metrics"):
        tables.executemany(
            f"INSERT OR REPLACE INTO {table} (run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)",
            points,
        )
