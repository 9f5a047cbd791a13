"""A study's trials as its MLflow store has them, read with a few queries however many there are.

MLflow's own client takes 13 s for ten thousand runs and a call more for each metric's history. What is read here are
the tables of the study's own SQLite file, whose layout the pinned version of MLflow fixes; nothing is written.
"""

import math
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

DATABASE = "mlflow.db"
# As long as MLflow itself waits for another process that writes.
_PATIENCE_SECONDS = 60.0
_TAGS = tuple(f"iskpo.{name}" for name in ("trial", "state", "attempts", "restarted", "reason"))
# Metrics whose last step is the trial's: one of every training step, with a filter or without.
_EVERY_STEP = ("kalman/gain_mean", "reward/mean")


@dataclass(frozen=True)
class RecordedRun:
    """One trial.

    Attributes:
        run_id: MLflow's.
        open: Whether MLflow has it as running.
        trial: Its key.
        state: ``running``, ``finished``, ``failed``, ``interrupted`` or ``stopped early``.
        attempts: How often it was begun.
        began: When the last attempt began, seconds since 1970.
        ended: When it ended; None where it has not.
        reason: Why it failed, or "".
        step: Its last training step.
        metrics: Last finite value of each metric that was asked for.
    """

    run_id: str
    open: bool
    trial: str
    state: str
    attempts: int
    began: float
    ended: float | None
    reason: str
    step: int
    metrics: dict[str, float]

    @property
    def seconds(self) -> float | None:
        """Wall time of the last attempt, until now where it has not ended; None where the clock was turned back."""
        ended = time.time() if self.state == "running" or self.ended is None else self.ended
        return ended - self.began if ended >= self.began else None


def recorded_runs(output: Path, *, metrics: tuple[str, ...] = ()) -> list[RecordedRun]:
    """Every trial that has a run, in the order in which they began.

    Args:
        output: The study's folder.
        metrics: Metrics wanted, as patterns of SQLite's GLOB.
    """
    with closing(_open(output)) as connection:
        tags: dict[str, dict[str, str]] = {}
        query = f"SELECT run_uuid, key, value FROM tags WHERE key IN ({', '.join('?' * len(_TAGS))})"
        for run, key, value in connection.execute(query, _TAGS):
            tags.setdefault(run, {})[key.removeprefix("iskpo.")] = value
        steps: dict[str, int] = {}
        last: dict[str, dict[str, float]] = {}
        wanted = " OR ".join(["key GLOB ?"] * (len(metrics) + len(_EVERY_STEP)))
        query = f"SELECT run_uuid, key, value, step, is_nan FROM latest_metrics WHERE {wanted}"
        for run, key, value, step, is_nan in connection.execute(query, (*metrics, *_EVERY_STEP)):
            if key in _EVERY_STEP:
                steps[run] = max(steps.get(run, 0), step)
            if not is_nan and math.isfinite(value):
                last.setdefault(run, {})[key] = value
        rows = connection.execute(
            "SELECT run_uuid, status, start_time, end_time FROM runs ORDER BY start_time, rowid"
        ).fetchall()
    return [
        RecordedRun(
            run_id=run,
            open=status == "RUNNING",
            trial=tag["trial"],
            state=tag.get("state", "running"),
            attempts=int(tag.get("attempts", "1")),
            began=int(tag.get("restarted", start)) / 1000,
            ended=None if end is None else end / 1000,
            reason=tag.get("reason", ""),
            step=steps.get(run, 0),
            metrics=last.get(run, {}),
        )
        for run, status, start, end in rows
        if "trial" in (tag := tags.get(run, {}))
    ]


def recorded_params(output: Path) -> dict[str, dict[str, str]]:
    """Parameters of every run, by its id, in the order in which they were logged."""
    params: dict[str, dict[str, str]] = {}
    with closing(_open(output)) as connection:
        for run, key, value in connection.execute("SELECT run_uuid, key, value FROM params ORDER BY rowid"):
            params.setdefault(run, {})[key] = value
    return params


def _open(output: Path) -> sqlite3.Connection:
    # Never created here. Not read-only: after a kill the first to look must undo the half of a write that is there.
    address = f"{(output / DATABASE).resolve().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_PATIENCE_SECONDS)
