"""A study that has run, as tidy tables for notebooks.

>>> import sweep  # doctest: +SKIP
>>> study = sweep.load("output/qv_kappa-20261123-154031")  # doctest: +SKIP
>>> study.trials[["trial", "arm", "seed", "state", "kappa"]]  # doctest: +SKIP
>>> study.steps.pivot(index="step", columns="trial", values="kalman/gain_mean")  # doctest: +SKIP

Each table is read when it is first asked for and then kept. Files are read where they lie under the folder, so that one
copied from another machine is read as well; the folder may be of a study that still runs.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from sweep.arms.verl_settings import is_setting
from sweep.input.errors import UserError
from sweep.store.mlflow_tables import RecordedRun, latest_study, metric_points
from sweep.store.study_folder import DATABASE, artifact_folder, planned_trials
from sweep.store.study_store import require_study
from sweep.store.trial_tables import COLUMNS

_IDENTITY = ("trial", "arm", "seed")
_NOT_NUMBERS = {"True": True, "False": False, "none": None}


class RecordedStudy:
    """A study's tables.

    Attributes:
        output: Its folder.
        name: Its name.
        question: What it asks; may be empty.
        state: ``running``, ``finished``, ``failed`` or ``interrupted``.
        run: Its own run.
        runs: Its trials' runs by key, of each the latest.
    """

    def __init__(self, output: Path) -> None:
        """Read the runs; see `load`."""
        run, self.runs = latest_study(output, metrics=("eval/*",), params=True)
        if run is None:
            raise UserError(
                f"{output / DATABASE} holds no run of a study: it ended before it began, or was deleted in MLflow"
            )
        self.output, self.run = output, run
        self.name: str = run.params.get("name", run.name or "study")
        self.question: str = run.tags.get("iskpo.question", "")
        self.state: str = run.state

    def __repr__(self) -> str:
        """For a notebook's cell."""
        return f"RecordedStudy({str(self.output)!r}: {self.name}, {self.state}, {len(self.trials)} trials)"

    @cached_property
    def plan(self) -> dict[str, dict[str, Any]]:
        """The planned trials by key, as plan.json has them; empty where the arms were not planned."""
        kept = artifact_folder(self.output, self.run.run_id) / "study"
        return {entry["key"]: entry for entry in planned_trials(self.output) or planned_trials(kept)}

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial that was planned or run: trial, arm, seed, state, reason, same_as (key of the
        trial whose numbers it has, since it was proved to be the same), taken_from (folder and run of the study that
        trained it, where that was another one), attempts, minutes, run_id, every
        parameter under its name (infinite kappa for no clipping, missing where a loss has none), and the last value of
        every accuracy, named as in MLflow (``eval/BENCHMARK/avg_at_K``, a share).
        """
        return pd.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `trials`: planned ones first, in planned order."""
        rows = {
            key: {"trial": key, "arm": entry["arm"], "seed": entry["seed"], "state": "not started"}
            for key, entry in self.plan.items()
        }
        return [*(rows | {key: self._row(run) for key, run in self.runs.items()}).values()]

    def settings(self, run: RecordedRun) -> dict[str, Any]:
        """In which of verl's settings the arm of a run differs from others: short name or dotted key to value."""
        return {name: _value(text) for name, text in run.params.items() if is_setting(name) and name not in _IDENTITY}

    def _row(self, run: RecordedRun) -> dict[str, Any]:
        return {
            **identity(run),
            "state": run.state,
            "reason": run.reason,
            "same_as": run.same_as,
            "taken_from": run.taken_from,
            "attempts": run.attempts,
            "minutes": (run.end_time - run.began) / 60_000 if run.end_time else None,
            **{name: _value(text) for name, text in run.params.items() if name not in _IDENTITY},
            **{name: value for name, value in run.metrics.items() if name.startswith("eval/")},
            "run_id": run.run_id,
        }

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a training step: trial, arm, seed, step, and a column a metric, named as in MLflow."""
        return self.step_table("*")

    def step_table(self, *patterns: str) -> pd.DataFrame:
        """As `steps`, with the metrics that match one of the patterns alone."""
        known = pd.DataFrame([{"run_id": run.run_id, **identity(run)} for run in self.runs.values()])
        points = pd.DataFrame(metric_points(self.output, patterns), columns=["run_id", "metric", "step", "value"])
        if known.empty or (points := points[points["run_id"].isin(known["run_id"])]).empty:
            return pd.DataFrame(columns=[*_IDENTITY, "step"])
        last = points.drop_duplicates(["run_id", "metric", "step"], keep="last")
        wide = last.pivot(index=["run_id", "step"], columns="metric", values="value")[last["metric"].unique()]
        wide.columns.name = None
        return known.merge(wide.reset_index(), on="run_id", how="inner").drop(columns="run_id")

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a sample of an evaluation: trial, arm, seed, and the columns of `sweep.store.trial_tables.COLUMNS`,
        the texts of prompt and response among them.
        """
        return self._artifacts("samples", [*_IDENTITY, *COLUMNS])

    @cached_property
    def traces(self) -> pd.DataFrame:
        """One row a recorded sequence: trial, arm, seed, the columns of `write_traces`, and as arrays its
        log ratios ``z``, before the filter, and ``old_log_prob`` (missing in traces of format 1).
        """
        return self._artifacts("traces", [*_IDENTITY, "step", "z"])

    def files(self, run: RecordedRun, folder: str) -> list[Path]:
        """The tables in a folder of a run's artifacts, in order of training steps; a twin's are the original's."""
        run = self.runs.get(run.same_as, run)
        return sorted((artifact_folder(self.output, run.run_id) / folder).glob("*.parquet"))

    def _artifacts(self, folder: str, columns: list[str]) -> pd.DataFrame:
        frames = [
            pd.read_parquet(path).assign(**identity(run))
            for run in self.runs.values()
            for path in self.files(run, folder)
        ]
        table = concatenate(frames, columns)
        return table[[*_IDENTITY, *(name for name in table.columns if name not in _IDENTITY)]]


def load(output: str | Path) -> RecordedStudy:
    """Open the study in an output folder; of several in one store, the latest.

    Args:
        output: The folder, finished or still running.

    Raises:
        UserError: It holds no study.
    """
    require_study(Path(output))
    return RecordedStudy(Path(output))


def identity(run: RecordedRun) -> dict[str, Any]:
    """The columns that every table of trials begins with."""
    return {"trial": run.trial, "arm": run.params["arm"], "seed": int(run.params["seed"])}


def concatenate(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """The rows of all tables; where there are none, an empty table with these columns."""
    frames = [frame for frame in frames if not frame.empty]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _value(text: str) -> Any:
    if text in _NOT_NUMBERS:
        return _NOT_NUMBERS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
