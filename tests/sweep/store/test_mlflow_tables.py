"""SQL on MLflow's tables says what MLflow's client says, and refuses tables of another version."""

import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.store.db.utils import _get_latest_schema_revision
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

from sweep.commands.cli import app
from sweep.store.mlflow_tables import REVISION, recorded_runs
from sweep.store.study_folder import owned, tracking_uri
from sweep.store.study_tracking import StudyTracking

PARAMS: dict[str, Any] = {"q": 1e-6, "kappa": math.inf, "loss": "iskpo", "text": "x" * 300}
METRICS = {
    "kalman/gain_mean": 0.1,
    "kalman/clip_fraction": 0.0,
    "objective/realised_gain": 1e-300,
    "replay/autocorrelation": 0.5,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all: making its tables takes longer than everything else here."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def tracking(folder: Path, request: pytest.FixtureRequest) -> StudyTracking:
    """An experiment for each test."""
    tracking = StudyTracking(output=folder, study=request.node.name)
    tracking.start_study(name=request.node.name, question="", params={})
    return tracking


def _runs(output: Path) -> dict[str, Run]:
    client = MlflowClient(tracking_uri=tracking_uri(output))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return {run.info.run_name: run for run in client.search_runs(experiments)}


def test_at_once_or_call_by_call_is_the_same_run(tracking: StudyTracking, folder: Path) -> None:
    odd = {**METRICS, "kalman/threshold": math.inf, "replay/switch_frequency": math.nan, "not/kept": 1.0}
    tracking.start_trial(key="calls_s0", arm="a", seed=0, params=PARAMS)
    tracking.log_metrics(key="calls_s0", step=1, metrics=odd)
    tracking.end_trial(key="calls_s0", state="failed", reason="it broke")
    tracking.record_trial(
        key="whole_s0", arm="a", seed=0, params=PARAMS, metrics=odd, started=1e9, state="failed", reason="it broke"
    )
    runs = _runs(folder)
    calls, whole = runs["calls_s0"], runs["whole_s0"]
    assert whole.data.params == calls.data.params
    assert whole.data.metrics == calls.data.metrics == METRICS
    own = {"mlflow.runName", "mlflow.user", "mlflow.source.name", "mlflow.source.type", "iskpo.trial"}
    assert {k: v for k, v in whole.data.tags.items() if k not in own} == {
        k: v for k, v in calls.data.tags.items() if k not in own
    }
    for name in ("experiment_id", "status", "lifecycle_stage"):
        assert getattr(whole.info, name) == getattr(calls.info, name)
    assert whole.info.artifact_uri == calls.info.artifact_uri.replace(calls.info.run_id, whole.info.run_id)
    assert whole.info.start_time == 10**12 < whole.info.end_time
    client = MlflowClient(tracking_uri=tracking_uri(folder))
    for name in METRICS:
        points = [client.get_metric_history(run.info.run_id, name) for run in (calls, whole)]
        assert [(p.step, p.value) for p in points[0]] == [(p.step, p.value) for p in points[1]]


def test_a_trial_that_failed_before_keeps_its_run(tracking: StudyTracking, folder: Path) -> None:
    arguments: dict[str, Any] = {"key": "failed_s0", "arm": "t", "seed": 0, "params": PARAMS, "started": 1e9}
    tracking.record_trial(**arguments, metrics={}, state="failed", reason="it broke")
    tracking.record_trial(**arguments, metrics=METRICS)
    (run,) = [run for run in recorded_runs(folder, metrics=("*",)) if run.trial == "failed_s0"]
    assert (run.state, run.reason, run.attempts, run.step, run.metrics) == ("finished", "", 2, 1, METRICS)


def test_what_is_read_past_mlflow_is_what_mlflow_says(tracking: StudyTracking, folder: Path) -> None:
    tracking.record_trial(key="a_s0", arm="a", seed=0, params=PARAMS, metrics=METRICS, started=1e9)
    tracking.start_trial(key="b_s0", arm="b", seed=0, params=PARAMS)
    for step in (1, 2, 3):
        tracking.log_metrics(key="b_s0", step=step, metrics={"reward/mean": step / 4, "kalman/gain_mean": 0.1})
    runs = _runs(folder)
    found = [run for run in recorded_runs(folder, metrics=("*",), params=True) if run.trial in ("a_s0", "b_s0")]
    # In the order in which they began; the first claims to have begun in 2001.
    assert [run.trial for run in found] == ["a_s0", "b_s0"]
    for run in found:
        said = runs[run.trial]
        assert (run.run_id, run.metrics, run.params) == (
            said.info.run_id,
            said.data.metrics,
            said.data.params,
        )
        assert run.status == said.info.status
    assert [run.step for run in found] == [1, 3]
    # The second still runs: its time is until now.
    assert 0 <= (found[1].seconds or -1) < 60
    assert all(run.metrics.keys() <= {"reward/mean", "kalman/gain_mean"} for run in recorded_runs(folder))


def test_what_was_cut_off_between_the_two_calls_that_end_a_trial_has_ended(
    tracking: StudyTracking, folder: Path, request: pytest.FixtureRequest
) -> None:
    tracking.start_trial(key="t_s0", arm="t", seed=0, params={})
    tracking._tag(tracking._runs["t_s0"], state="finished")
    again = StudyTracking(output=folder, study=request.node.name)
    assert again.resume_study()["t_s0"].state == "finished"
    again.end_study(state="finished")
    run = _runs(folder)["t_s0"]
    assert (run.info.status, run.data.tags["iskpo.state"]) == ("FINISHED", "finished")


def test_the_revision_is_the_pinned_versions_and_another_is_refused(recorded: Path, tmp_path: Path) -> None:
    assert _get_latest_schema_revision() == REVISION
    output = shutil.copytree(recorded, tmp_path / "out")
    with closing(sqlite3.connect(output / "mlflow.db")) as tables, tables:
        tables.execute("UPDATE alembic_version SET version_num = '1b5f0d9ad7c1'")
    for command in ("status", "report", "resume", "export", "replay", "ui", "stop"):
        result = CliRunner().invoke(app, [command, str(output)])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"error: {output}/mlflow.db was written by another version of MLflow")
        assert f"1b5f0d9ad7c1, and this version of iskpo-sweep reads {REVISION}" in result.stderr
        assert f"mlflow db upgrade sqlite:///{output}/mlflow.db" in result.stderr
    # MLflow passes through its older revisions while it makes the tables of a new study, which then is running.
    with owned(output), pytest.raises(sqlite3.OperationalError, match="are still being made"):
        recorded_runs(output)
