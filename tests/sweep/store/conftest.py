"""A small study as the engine records it, through the real tracking, without training."""

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from iskpo.replay.traces import SequenceTrace, StepTrace, write_traces
from sweep.profiles.profile import load_profile
from sweep.store.plan_file import arm_params, plan_as_json
from sweep.store.study_tracking import StudyTracking
from sweep.store.trial_tables import keep_samples
from sweep.study.plan import plan_trials
from sweep.study.study import Study

STEPS, SAMPLES = 2, 2


@pytest.fixture
def address() -> str:
    """Where MLflow's server listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MLflow database with its tables, which take seconds to make."""
    output = tmp_path_factory.mktemp("empty")
    StudyTracking(output=output, study="unused")
    return output / "mlflow.db"


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """Three arms: one clips, one does not, one has another loss and failed; a fourth has not begun."""
    output = tmp_path_factory.mktemp("recorded")
    shutil.copyfile(empty_store, output / "mlflow.db")
    arms = [
        {"name": "clips", "q": 1e-6, "v": 1e-2, "kappa": 1.0},
        {"name": "open", "q": 1e-6, "v": 1.0},
        {"name": "gspo", "loss": "gspo"},
        {"name": "later", "q": 1e-4, "v": 1.0},
    ]
    study = Study(name="small", question="Why?", space={"kind": "arms", "arms": arms}, steps=STEPS)
    plan = plan_trials(study)
    planned = plan_as_json(study=study, plan=plan, profile=load_profile("tiny"), requested_profile="tiny")
    (output / "plan.json").write_text(json.dumps(planned))
    tracking = StudyTracking(output=output, study="small")
    tracking.start_study(name="small", question="Why?", params={"steps": STEPS})
    for number, trial in enumerate(plan[:3]):
        tracking.start_trial(key=trial.key, arm=trial.arm.name, seed=trial.seed, params=arm_params(trial.arm))
        for step in range(1, STEPS + 1):
            tracking.log_metrics(
                key=trial.key, step=step, metrics={"critic/score/mean": 0.1 * step, "kalman/gain_mean": 0.01 * number}
            )
        if trial.arm.name == "gspo":
            tracking.end_trial(key=trial.key, state="failed", reason="killed")
            continue
        table, metrics = keep_samples(_samples(output, right=number), step=STEPS, k=SAMPLES)
        tracking.log_samples(key=trial.key, step=STEPS, path=table, metrics=metrics)
        tracking.log_traces(key=trial.key, path=_traces(output))
        tracking.end_trial(key=trial.key, state="finished")
    tracking.end_study(state="failed")
    return output


def _samples(output: Path, *, right: int) -> Path:
    """Two problems; `right` of each problem's answers are right."""
    path = output / "2.jsonl"
    entries = [
        {"input": "1+1=", "output": "2", "gts": "2", "score": float(sample < right), "step": STEPS}
        | {"benchmark": "sums", "problem_id": problem}
        for problem in ("a", "b")
        for sample in range(SAMPLES)
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def _traces(output: Path) -> Path:
    sequence = SequenceTrace(
        update=0, rank=0, micro_batch=0, row=0, shape=(1, 3), sample=0, problem_id="a", reward=1.0,
        z=np.array([0.0, 0.5, np.nan], np.float32), old_log_prob=np.array([-1.0, -0.1, np.nan], np.float32),
    )  # fmt: skip
    path = output / "step_0001.parquet"
    write_traces(path, step=1, trace=StepTrace(seen=1, sequences=[(0, sequence)]))
    return path
