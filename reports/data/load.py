"""A study as its report reads it, above `sweep.load`: one row a trial, one a training step, one a sample."""

import json
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from iskpo.innovation_histogram import FILTER_METRICS
from iskpo.innovation_moments import FIELDS
from sweep.input.errors import UserError
from sweep.input.yaml_source import load_yaml
from sweep.store.mlflow_tables import RecordedRun
from sweep.store.recorded_study import RecordedStudy, concatenate, identity, load
from sweep.store.study_folder import STUDY_FILE, artifact_folder
from sweep.store.trial_tables import UNTRAINED_SAMPLES
from sweep.study.registered import Registered
from sweep.tasks.maths.boxed import same_text

_STEP_METRICS = (*FILTER_METRICS, "reward/", "response_length/", "actor/", "rollout_corr/k3_kl", "timing_s/step")
# Texts of prompts and responses stay in the artifacts: the report shows none, and they are most of the bytes.
_SAMPLE_COLUMNS = ("benchmark", "problem_id", "sample", "correct", "step")
_OPTIONAL_COLUMNS = ("subject", "level", "answer", "truncated", "outcome")
MOMENTS_COLUMNS = ["trial", "arm", "seed", "step", "update", "pi_old_from", "pi_old_to", *FIELDS]
HISTOGRAM_COLUMNS = ["trial", "arm", "seed", "step", "lower", "upper", "tokens"]
_NUMBERS = ("q", "v", "kappa", "p0", "rho0", "state_kappa", "predicted_gain", "predicted_threshold")
TRIAL_COLUMNS = (
    "trial",
    "arm",
    "seed",
    "q",
    "v",
    "kappa",
    "p0",
    "rho0",
    "state_kappa",
    "gradient",
    "numerics",
    "estimator",
    "loss",
    "advantage",
    "dynamic_sampling",
    "clip_low",
    "clip_high",
    "settings",
    "predicted_gain",
    "predicted_threshold",
    "state",
    "reason",
    "same_as",
    "taken_from",
    "minutes",
    "ended",
)
# What a loss has no choice of stands at what it usually is; so do runs from before there was a choice.
_USUAL: dict[str, Any] = {
    "gradient": "straight_through",
    "numerics": "exact",
    "estimator": "clip",
    "state_kappa": math.inf,
    "loss": "iskpo",
    "advantage": "",
    "dynamic_sampling": False,
    "settings": "{}",
    "reason": "",
    "same_as": "",
    "taken_from": "",
}


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
        trials: One row a planned trial, in planned order, with `TRIAL_COLUMNS`. ``settings`` is JSON: those of verl's,
            name to value. ``state`` is finished, failed, running,
            interrupted or ``not started``; ``minutes`` is wall time, NaN where it did not end; ``ended`` is UTC.
        steps: One row a training step: trial, arm, seed, step, and a column for every metric, named as in MLflow.
        samples: One row a sample of an evaluation of a finished trial: trial, arm, seed, benchmark, problem_id, sample,
            correct, step; and subject, level, answer, truncated, outcome where the task records them.
        untrained: One row a sample of the untrained model, likewise, with the trial that judged it, finished or not.
        histograms: |innovation| / sigma of every step of a finished trial in bins: trial, arm, seed, step, lower
            (included), upper (excluded), tokens; empty where none were recorded.
        moments: Innovations of every step of a finished trial by mini-batch update and class of tokens: trial, arm,
            seed, step, update, pi_old_from (included), pi_old_to and `iskpo.innovation_moments.FIELDS`; likewise.
        registered: Comparisons and thresholds that the study file named before the first run; None without.
        overrides: verl's settings that the study file changes, by dotted key.
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
    untrained: pd.DataFrame
    histograms: pd.DataFrame
    moments: pd.DataFrame
    registered: Registered | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    study_file: str = ""


def load_record(*, output: Path) -> StudyRecord:
    """Read the latest study in an output folder; of a trial that was tried again, the latest attempt.

    Raises:
        UserError: The folder holds no study, or one without any trial.
    """
    study = load(output)
    trials = trial_table(study)
    if trials.empty:
        raise UserError(f"study {study.name} has no trial yet, so there is nothing to report")
    finished = [run for run in study.runs.values() if run.state == "finished"]
    columns = ["trial", "arm", "seed", *_SAMPLE_COLUMNS]
    samples = concatenate(_in_parallel(_samples, study, finished), columns)
    judged = [run for run in study.runs.values() if not run.same_as]
    untrained = concatenate(_in_parallel(_untrained_samples, study, judged), columns)
    steps = study.step_table(*(f"{name}*" for name in _STEP_METRICS))
    study_file = artifact_folder(output, study.run.run_id) / "study" / STUDY_FILE
    return StudyRecord(
        run_id=study.run.run_id,
        name=study.name,
        question=study.question,
        state=study.state,
        params=study.run.params,
        tags=study.run.tags,
        started=pd.Timestamp(study.run.start_time, unit="ms"),
        trials=trials,
        steps=steps[["trial", "arm", "seed", "step", *sorted(steps.columns[4:])]],
        samples=_compact(samples),
        untrained=_compact(untrained),
        histograms=concatenate(_in_parallel(_of_innovations("histogram"), study, finished), HISTOGRAM_COLUMNS),
        moments=concatenate(_in_parallel(_of_innovations("moments"), study, finished), MOMENTS_COLUMNS),
        **(_of_study_file(study_file) if study_file.is_file() else {}),
        study_file=study_file.read_text(encoding="utf-8") if study_file.is_file() else "",
    )


def trial_table(study: RecordedStudy) -> pd.DataFrame:
    """One row a trial with `TRIAL_COLUMNS`: that of `sweep.load`, or what the plan says of a trial without a run."""
    rows = []
    for row in study.rows():
        run = study.runs.get(row["trial"])
        known = row | {"settings": json.dumps(study.settings(run))} if run else _planned(study.plan[row["trial"]]) | row
        known = _USUAL | {name: value for name, value in known.items() if value is not None}
        numbers = {name: float(known.get(name, math.nan)) for name in (*_NUMBERS, "clip_low", "clip_high", "minutes")}
        ended = pd.Timestamp(run.end_time, unit="ms") if run and run.end_time else pd.NaT
        rows.append(known | numbers | {"ended": ended})
    return pd.DataFrame(rows, columns=list(TRIAL_COLUMNS))


def _planned(entry: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a trial as plan.json has them, with null for infinity, or for what its loss has not."""
    missing = math.inf if entry.get("loss", "iskpo") == "iskpo" else math.nan
    bounds = entry.get("clip_bounds") or (None, None)
    numbers = {name: missing if entry.get(name) is None else entry[name] for name in _NUMBERS}
    settings = json.dumps(entry.get("settings", {}))
    return entry | numbers | {"clip_low": bounds[0], "clip_high": bounds[1], "settings": settings}


def _of_study_file(study_file: Path) -> dict[str, Any]:
    """What the record has of it: the rest was checked when it was run, perhaps by another version."""
    keys = load_yaml(study_file).data or {}
    registered = keys.get("registered")
    return {
        "registered": None if registered is None else Registered.model_validate(registered),
        "overrides": {key.lstrip("+"): value for key, value in (keys.get("overrides") or {}).items()},
    }


def _in_parallel(
    read: Callable[[RecordedStudy, RecordedRun], pd.DataFrame], study: RecordedStudy, runs: list[RecordedRun]
) -> list[pd.DataFrame]:
    """Files are decoded without Python's lock, so threads share the cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda run: read(study, run), runs))


def _samples(study: RecordedStudy, run: RecordedRun) -> pd.DataFrame:
    """Every sample of every evaluation of one trial's policy."""
    return _read_samples(study, run, [path for path in study.files(run, "samples") if path.stem != UNTRAINED_SAMPLES])


def _untrained_samples(study: RecordedStudy, run: RecordedRun) -> pd.DataFrame:
    """Every sample of the untrained model, where the trial judged it."""
    return _read_samples(study, run, [path for path in study.files(run, "samples") if path.stem == UNTRAINED_SAMPLES])


def _read_samples(study: RecordedStudy, run: RecordedRun, paths: list[Path]) -> pd.DataFrame:
    tables = []
    for path in paths:
        with pq.ParquetFile(path) as file:
            there = set(file.schema_arrow.names)
            names = [*_SAMPLE_COLUMNS, *(name for name in _OPTIONAL_COLUMNS if name in there)]
            table = _compact(file.read(columns=names, use_threads=False).to_pandas())
            if {"answer", "outcome", "truth"} <= there and table["outcome"].notna().any():  # answers to mathematics
                truth = file.read(columns=["truth"], use_threads=False).to_pandas()["truth"]
                table["disputed"] = disputed(table, truth=truth)
            tables.append(table)
    return concatenate(tables, []).assign(**identity(run)) if tables else pd.DataFrame()


def disputed(table: pd.DataFrame, *, truth: "pd.Series[str]") -> list[bool]:
    """Whether a sample is right by a rule of grading, and not by its text: a grader of texts would refuse it."""
    rows = zip(table["correct"], table["answer"], truth, strict=True)
    return [bool(correct) and not same_text(str(answer), str(right)) for correct, answer, right in rows]


def _of_innovations(table: str) -> Callable[[RecordedStudy, RecordedRun], pd.DataFrame]:
    """What reads one of a trial's tables of innovations."""

    def read(study: RecordedStudy, run: RecordedRun) -> pd.DataFrame:
        tables = [pd.read_parquet(path) for path in study.files(run, "innovations") if path.stem == table]
        return concatenate(tables, []).assign(**identity(run)) if tables else pd.DataFrame()

    return read


def _compact(samples: pd.DataFrame) -> pd.DataFrame:
    """Small integers for what is a sample's number or step: there are millions of rows."""
    return samples.astype({name: "int32" for name in ("sample", "step") if name in samples and len(samples)})
