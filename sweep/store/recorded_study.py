"""A study that has run, as tidy tables for notebooks.

>>> import sweep  # doctest: +SKIP
>>> study = sweep.load("output/qv_kappa-20261123-154031")  # doctest: +SKIP
>>> study.trials[["trial", "arm", "seed", "state", "kappa"]]  # doctest: +SKIP
>>> study.steps.pivot(index="step", columns="trial", values="kalman/gain_mean")  # doctest: +SKIP

Each table is read when it is first asked for and then kept. Files are read where they lie under the folder, so that one
copied from another machine is read as well; the folder may be of a study that still runs.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sweep.input.errors import UserError
from sweep.store.study_folder import PLAN_FILE

if TYPE_CHECKING:
    from mlflow.entities import Run

_IDENTITY = ("trial", "arm", "seed")
# Samples of the machine (`sweep.store.machine_load`): what counts them is no training step.
_MACHINE = "system/"
_NOT_NUMBERS = {"True": True, "False": False, "none": None}


class RecordedStudy:
    """A study's tables.

    Attributes:
        output: Its folder.
        name: Its name.
        question: What it asks; may be empty.
        state: ``running``, ``finished``, ``failed`` or ``interrupted``.
    """

    def __init__(self, output: Path) -> None:
        """Open the store; see `load`."""
        from mlflow.tracking import MlflowClient

        from sweep.store.study_tracking import tracking_uri

        self.output = output
        self._client = MlflowClient(tracking_uri=tracking_uri(output))
        runs = self._all_runs()
        parents = [run for run in runs if run.data.tags.get("iskpo.kind") == "study"]
        if not parents:
            raise UserError(f"{output}/mlflow.db holds no run of a study: it ended before it began")
        parent = parents[-1]
        self.name: str = parent.data.params.get("name", parent.info.run_name or "study")
        self.question: str = parent.data.tags.get("iskpo.question", "")
        self.state: str = parent.data.tags.get("iskpo.state", "unknown")
        self._runs: dict[str, Run] = {
            run.data.tags["iskpo.trial"]: run
            for run in runs
            if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id and "iskpo.trial" in run.data.tags
        }

    def __repr__(self) -> str:
        """For a notebook's cell."""
        return f"RecordedStudy({str(self.output)!r}: {self.name}, {self.state}, {len(self.trials)} trials)"

    def _all_runs(self) -> "list[Run]":
        experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
        runs: list[Run] = []
        token: str | None = None
        while True:
            page = self._client.search_runs(
                experiments, order_by=["attributes.start_time ASC"], max_results=1000, page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial that was planned or run: trial, arm, seed, state, reason, attempts, minutes, run_id, every
        parameter under its name (infinite kappa for no clipping, missing where a loss has none), and the last value of
        every accuracy, named as in MLflow (``eval/BENCHMARK/avg_at_K``, a share).
        """
        rows = {key: self._trial(key, run) for key, run in self._runs.items()}
        planned = {key: rows.get(key, {**entry, "state": "not started"}) for key, entry in self._planned().items()}
        return pd.DataFrame([*({**planned, **rows}).values()])

    def _planned(self) -> dict[str, dict[str, Any]]:
        try:
            trials = json.loads((self.output / PLAN_FILE).read_text())["trials"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {entry["key"]: {"trial": entry["key"], "arm": entry["arm"], "seed": entry["seed"]} for entry in trials}

    def _trial(self, key: str, run: "Run") -> dict[str, Any]:
        params, tags, ended = run.data.params, run.data.tags, run.info.end_time
        began = int(tags.get("iskpo.restarted", run.info.start_time))
        return {
            **self._identity(key, run),
            "state": tags.get("iskpo.state", "unknown"),
            "reason": tags.get("iskpo.reason", ""),
            "attempts": int(tags.get("iskpo.attempts", "1")),
            "minutes": (ended - began) / 60_000 if ended else None,
            **{name: _value(text) for name, text in params.items() if name not in _IDENTITY},
            **{name: value for name, value in run.data.metrics.items() if name.startswith("eval/")},
            "run_id": run.info.run_id,
        }

    @staticmethod
    def _identity(key: str, run: "Run") -> dict[str, Any]:
        return {"trial": key, "arm": run.data.params["arm"], "seed": int(run.data.params["seed"])}

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a training step: trial, arm, seed, step, and a column a metric, named as in MLflow."""
        return _together([self._steps(key, run) for key, run in self._runs.items()], [*_IDENTITY, "step"])

    def _steps(self, key: str, run: "Run") -> pd.DataFrame:
        rows: dict[int, dict[str, float]] = {}
        for name in run.data.metrics:
            if name.startswith(_MACHINE):
                continue
            for point in self._client.get_metric_history(run.info.run_id, name):
                rows.setdefault(point.step, {})[name] = point.value
        identity = self._identity(key, run)
        return pd.DataFrame([{**identity, "step": step, **values} for step, values in sorted(rows.items())])

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a sample of an evaluation: trial, arm, seed, and the columns of `sweep.store.samples.COLUMNS`,
        the texts of prompt and response among them.
        """
        from sweep.store.samples import COLUMNS

        return self._artifacts("samples", [*_IDENTITY, *COLUMNS])

    @cached_property
    def traces(self) -> pd.DataFrame:
        """One row a recorded sequence: trial, arm, seed, the columns of `write_traces`, and its log ratios
        ``z``, before the filter, as an array.
        """
        return self._artifacts("traces", [*_IDENTITY, "step", "z"])

    def _artifacts(self, folder: str, columns: list[str]) -> pd.DataFrame:
        frames = [
            pd.read_parquet(path).assign(**self._identity(key, run))
            for key, run in self._runs.items()
            for path in sorted((self.output / "artifacts" / run.info.run_id / "artifacts" / folder).glob("*.parquet"))
        ]
        return _together(frames, columns)


def load(output: str | Path) -> RecordedStudy:
    """Open the study in an output folder; of several in one store, the latest.

    Args:
        output: The folder, finished or still running.

    Raises:
        UserError: It holds no study.
    """
    from sweep.store.study_store import require_study

    require_study(Path(output))
    return RecordedStudy(Path(output))


def _value(text: str) -> Any:
    if text in _NOT_NUMBERS:
        return _NOT_NUMBERS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _together(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    frames = [frame for frame in frames if not frame.empty]
    if not frames:
        return pd.DataFrame(columns=columns)
    table = pd.concat(frames, ignore_index=True)
    return table[[*_IDENTITY, *(name for name in table.columns if name not in _IDENTITY)]]
