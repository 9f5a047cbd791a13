"""Read a study back from MLflow: one row a trial, one a training step, one a sample."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from sweep.errors import UserError
from sweep.tracking import tracking_uri

_NUMBERS = ("q", "v", "kappa", "p0", "rho0", "predicted_gain", "predicted_threshold")


@dataclass(frozen=True)
class StudyRecord:
    """A study as MLflow has it.

    Attributes:
        run_id: The parent run.
        name: The study's name.
        question: What it asks; may be empty.
        params: The parent's parameters.
        started: When it started.
        trials: One row a trial: trial, arm, alias, seed, q, v, kappa, p0, predicted_gain, predicted_threshold, state,
            reason, run_id.
        steps: One row a training step of a trial: trial, step, and a column for every metric, named as in MLflow.
        samples: One row a sample of the last evaluation of each finished trial, with its trial.
    """

    run_id: str
    name: str
    question: str
    params: dict[str, str]
    started: pd.Timestamp
    trials: pd.DataFrame
    steps: pd.DataFrame
    samples: pd.DataFrame


def load_study(*, output: Path) -> StudyRecord:
    """Read the study in an output folder.

    Raises:
        UserError: The folder holds no study.
    """
    if not (output / "mlflow.db").is_file():
        raise UserError(f"{output} holds no study (no mlflow.db); give the --output of a run")
    client = MlflowClient(tracking_uri=tracking_uri(output))
    runs = [
        run
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    ]
    parents = [run for run in runs if run.data.tags.get("iskpo.kind") == "study"]
    if not parents:
        raise UserError(f"{output}/mlflow.db holds no study of iskpo-sweep")
    parent = parents[-1]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return StudyRecord(
        run_id=parent.info.run_id,
        name=parent.data.params.get("name", parent.info.run_name or ""),
        question=parent.data.tags.get("iskpo.question", ""),
        params=dict(parent.data.params),
        started=pd.Timestamp(parent.info.start_time, unit="ms"),
        trials=pd.DataFrame([_trial(run) for run in children]),
        steps=_concatenate([_steps(client, run) for run in children], ["trial", "step"]),
        samples=_concatenate([_samples(client, run) for run in children], ["trial", "problem_id", "correct"]),
    )


def _concatenate(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    frames = [frame for frame in frames if not frame.empty]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _trial(run: Run) -> dict[str, Any]:
    params, tags = run.data.params, run.data.tags
    return {
        "trial": tags["iskpo.trial"],
        "arm": params["arm"],
        "alias": tags.get("iskpo.alias", ""),
        "seed": int(params["seed"]),
        **{name: float(params[name]) for name in _NUMBERS},
        "gradient": params["gradient"],
        "numerics": params["numerics"],
        "state": tags.get("iskpo.state", "unknown"),
        "reason": tags.get("iskpo.reason", ""),
        "run_id": run.info.run_id,
    }


def _steps(client: MlflowClient, run: Run) -> pd.DataFrame:
    """Step metrics of one trial, wide; evaluations come from the samples instead."""
    rows: dict[int, dict[str, float]] = {}
    for name in run.data.metrics:
        if not name.startswith(("eval/", "system/")):
            for point in client.get_metric_history(run.info.run_id, name):
                rows.setdefault(point.step, {})[name] = point.value
    return pd.DataFrame(
        [{"trial": run.data.tags["iskpo.trial"], "step": step, **values} for step, values in sorted(rows.items())]
    )


def _samples(client: MlflowClient, run: Run) -> pd.DataFrame:
    """Every sample of the trial's last evaluation; none unless the trial finished."""
    files = sorted(entry.path for entry in client.list_artifacts(run.info.run_id, "samples"))
    if run.data.tags.get("iskpo.state") != "finished" or not files:
        return pd.DataFrame()
    table = pd.read_parquet(client.download_artifacts(run.info.run_id, files[-1]))
    return table.assign(
        trial=run.data.tags["iskpo.trial"], arm=run.data.params["arm"], seed=int(run.data.params["seed"])
    )
