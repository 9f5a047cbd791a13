"""Read a study back from MLflow: one row a trial, one a training step, one a sample.

Everything after this works on the three tables; `reports.data.load_trials` makes the first of them.
"""

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from reports.data.load_trials import planned_trials, trial_table
from sweep.input.errors import UserError
from sweep.input.yaml_source import load_yaml
from sweep.store.artifact_addresses import artifact_folder
from sweep.store.study_folder import STUDY_FILE
from sweep.store.study_tracking import tracking_uri
from sweep.study.registered import Registered

_STEP_METRICS = ("kalman/", "innovation/", "reward/", "response_length/", "actor/", "timing_s/step")
# Texts of prompts and responses stay in the artifacts: the report shows none, and they are most of the bytes.
_SAMPLE_COLUMNS = ("benchmark", "problem_id", "sample", "correct", "step")
_OPTIONAL_COLUMNS = ("subject", "level", "answer", "truncated")
_HISTOGRAM_COLUMNS = ("trial", "arm", "seed", "step", "lower", "upper", "tokens")


@dataclass(frozen=True)
class StudyRecord:
    """A study as MLflow has it.

    Attributes:
        run_id: The parent run.
        name: The study's name.
        question: What it asks; may be empty.
        state: ``running``, ``finished``, ``failed`` or ``interrupted``.
        params: The parent's parameters.
        tags: The parent's tags.
        started: When it started, UTC.
        trials: One row a planned trial, in planned order, with `TRIAL_COLUMNS`. ``state`` is finished, failed, running,
            interrupted or ``not started``; ``minutes`` is wall time, NaN where it did not end; ``ended`` is UTC.
        steps: One row a training step: trial, arm, seed, step, and a column for every metric, named as in MLflow.
        samples: One row a sample of an evaluation of a finished trial: trial, arm, seed, benchmark, problem_id, sample,
            correct, step; and subject, level, answer, truncated where the task records them.
        histograms: |innovation| / sigma of every step of a finished trial in bins: trial, arm, seed, step, lower
            (included), upper (excluded), tokens; empty where none were recorded.
        registered: Comparisons and thresholds that the study file named before the first run; None without.
        study_file: The study file's text; empty where the store has none.
    """

    run_id: str
    name: str
    question: str
    state: str
    params: dict[str, str]
    tags: dict[str, str]
    started: pd.Timestamp
    trials: pd.DataFrame
    steps: pd.DataFrame
    samples: pd.DataFrame
    histograms: pd.DataFrame
    registered: Registered | None = None
    study_file: str = ""


def load_study(*, output: Path) -> StudyRecord:
    """Read the latest study in an output folder; of a trial that was tried again, the latest attempt.

    Raises:
        UserError: The folder holds no study, or one without any trial.
    """
    if not (output / "mlflow.db").is_file():
        raise UserError(f"{output} holds no study: there is no mlflow.db in it. Give the --output folder of a run.")
    client = MlflowClient(tracking_uri=tracking_uri(output))
    runs = _all_runs(client)
    parents = [run for run in runs if run.data.tags.get("iskpo.kind") == "study"]
    if not parents:
        raise UserError(f"{output}/mlflow.db holds no run of a study; has it been started with iskpo-sweep run?")
    parent = parents[-1]
    name = parent.data.params.get("name", parent.info.run_name or "study")
    attempts = {
        run.data.tags["iskpo.trial"]: run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id and "iskpo.trial" in run.data.tags
    }
    trials = trial_table(runs=attempts, plan=planned_trials(parent=parent))
    if trials.empty:
        raise UserError(f"study {name} has no trial yet, so there is nothing to report")
    finished = set(trials.loc[trials["state"] == "finished", "trial"])
    study_file = _study_file(parent)
    return StudyRecord(
        run_id=parent.info.run_id,
        name=name,
        question=parent.data.tags.get("iskpo.question", ""),
        state=parent.data.tags.get("iskpo.state", "unknown"),
        params=dict(parent.data.params),
        tags=dict(parent.data.tags),
        started=pd.Timestamp(parent.info.start_time, unit="ms"),
        trials=trials,
        steps=_steps(output / "mlflow.db", list(attempts.values())),
        samples=_compact(
            _concatenate(
                _in_parallel(_samples, [run for key, run in attempts.items() if key in finished]),
                ("trial", "arm", "seed", *_SAMPLE_COLUMNS),
            )
        ),
        histograms=_concatenate(
            _in_parallel(_histogram, [run for key, run in attempts.items() if key in finished]), _HISTOGRAM_COLUMNS
        ),
        registered=_registered(study_file),
        study_file=study_file.read_text(encoding="utf-8") if study_file else "",
    )


def _study_file(parent: Run) -> Path | None:
    path = artifact_folder(parent) / "study" / STUDY_FILE
    return path if path.is_file() else None


def _registered(study_file: Path | None) -> Registered | None:
    """That block alone: the rest of the file was checked when it was run, perhaps by another version."""
    if study_file is None:
        return None
    block = (load_yaml(study_file).data or {}).get("registered")
    return None if block is None else Registered.model_validate(block)


def _in_parallel(read: Callable[[Run], pd.DataFrame], runs: list[Run]) -> list[pd.DataFrame]:
    """Files are decoded without Python's lock, so threads share the cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(read, runs))


def _all_runs(client: MlflowClient) -> list[Run]:
    """Every run of the store, oldest first."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            experiments, order_by=["attributes.start_time ASC"], max_results=1000, page_token=token
        )
        runs += page
        token = page.token
        if not token:
            return runs


def _identity(run: Run) -> dict[str, Any]:
    return {"trial": run.data.tags["iskpo.trial"], "arm": run.data.params["arm"], "seed": int(run.data.params["seed"])}


def _steps(database: Path, runs: list[Run]) -> pd.DataFrame:
    """Step metrics of all trials, wide, in order of trials; evaluations are read from the samples instead.

    One query for all runs: MLflow's client asks once for each run and metric, thousands of times for a large study.
    """
    wanted = " OR ".join("key LIKE ?" for _ in _STEP_METRICS)
    query = f"SELECT run_uuid, key, step, value, is_nan FROM metrics WHERE {wanted} ORDER BY timestamp"
    with closing(sqlite3.connect(database)) as connection:
        points = pd.read_sql_query(query, connection, params=[f"{name}%" for name in _STEP_METRICS])
    known = pd.DataFrame([{"run_uuid": run.info.run_id, **_identity(run)} for run in runs])
    points = points.assign(value=points["value"].mask(points["is_nan"].astype(bool)))
    if known.empty or (points := points[points["run_uuid"].isin(known["run_uuid"])]).empty:
        return pd.DataFrame(columns=["trial", "arm", "seed", "step"])
    last = points.drop_duplicates(["run_uuid", "key", "step"], keep="last")
    wide = last.pivot(index=["run_uuid", "step"], columns="key", values="value").reset_index()
    wide = known.merge(wide, on="run_uuid", how="inner").drop(columns="run_uuid")
    wide.columns.name = None
    return wide


def _artifacts(run: Run, folder: str) -> list[Path]:
    return sorted((artifact_folder(run) / folder).glob("*.parquet"))


def _samples(run: Run) -> pd.DataFrame:
    """Every sample of every evaluation of one trial."""
    tables = []
    for path in _artifacts(run, "samples"):
        with pq.ParquetFile(path) as file:
            there = set(file.schema_arrow.names)
            names = [*_SAMPLE_COLUMNS, *(name for name in _OPTIONAL_COLUMNS if name in there)]
            tables.append(_compact(file.read(columns=names, use_threads=False).to_pandas()))
    return _concatenate(tables, ()).assign(**_identity(run)) if tables else pd.DataFrame()


def _histogram(run: Run) -> pd.DataFrame:
    tables = [pd.read_parquet(path) for path in _artifacts(run, "innovations") if path.stem == "histogram"]
    return pd.concat(tables, ignore_index=True).assign(**_identity(run)) if tables else pd.DataFrame()


def _compact(samples: pd.DataFrame) -> pd.DataFrame:
    """Small integers for what is a sample's number or step: there are millions of rows."""
    return samples.astype({name: "int32" for name in ("sample", "step") if name in samples and len(samples)})


def _concatenate(frames: list[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    frames = [frame for frame in frames if not frame.empty]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(columns))
