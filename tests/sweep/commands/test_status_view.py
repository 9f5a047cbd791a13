"""The state of a study, read from a real store."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from iskpo.verl.checkpoint import Checkpointing, CheckpointWriter
from sweep.commands.status_view import show_status, status_as_json, trial_states
from sweep.profiles.profile import resolve_profile
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.plan_file import keep_plan
from sweep.store.study_folder import (
    checkpoint_folder,
    checkpointed_trials,
    owned,
    remove_checkpoints,
    tracking_uri,
)
from sweep.store.study_tracking import StudyTracking
from sweep.study.plan import plan_trials
from sweep.study.study import Study


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """One trial that finished, one that failed, one under way at step 1, one that waits."""
    space = {"kind": "grid", "q": [1e-6, 1e-2], "v": [1.0], "kappa": [3.0, 1.0]}
    study = Study(name="example", space=space, steps=2)
    plan = plan_trials(study)
    keep_plan(output=tmp_path, study=study, plan=plan, profile=resolve_profile("tiny"))
    tracking = StudyTracking(output=tmp_path, study=study.name)
    tracking.start_study(name=study.name, question="", params={})
    done, failed, under_way, _ = (trial.key for trial in plan)
    for key, steps in ((done, 2), (failed, 0), (under_way, 1)):
        tracking.start_trial(key=key, arm=key, seed=0, params={})
        for step in range(1, steps + 1):
            tracking.log_metrics(key=key, step=step, metrics={"kalman/gain_mean": 0.01 * step, "reward/mean": 0.5})
    tracking.log_metrics(key=done, step=2, metrics={"eval/arithmetic/avg_at_4": 0.482})
    tracking.end_trial(key=done, state="finished")
    tracking.end_trial(key=failed, state="failed", reason="it broke")
    return tmp_path


def test_every_trial_has_its_state(output: Path) -> None:
    with owned(output):
        states = trial_states(output)
    assert [(trial.state, trial.step) for trial in states] == [
        ("finished", 2),
        ("failed", 0),
        ("running", 1),
        ("waiting", 0),
    ]
    assert states[0].metrics["eval/arithmetic/avg_at_4"] == 0.482
    assert states[0].metrics["kalman/gain_mean"] == 0.02
    assert states[1].reason == "it broke"
    assert states[3].minutes is None


def test_what_nobody_runs_any_more_is_cut_off(output: Path) -> None:
    assert [trial.state for trial in trial_states(output)] == ["finished", "failed", "cut off", "waiting"]


def test_the_table_and_the_json(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_status(output)
    text = capsys.readouterr().out
    assert "1 finished, 1 failed, 1 cut off, 1 waiting" in " ".join(text.split())
    assert "iskpo-sweep resume" in text
    assert "48.2" in text
    assert "it broke" in text
    with owned(output):
        data = status_as_json(output)
        show_status(output)
    assert data["run_by"]["pid"] > 0
    assert data["trials"][2]["state"] == "running"
    assert "Run by process" in capsys.readouterr().out


def test_a_trial_that_was_cut_off_says_from_which_step_it_goes_on(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = next(trial.trial for trial in trial_states(output) if trial.state == "cut off")
    plan = Checkpointing(folder=str(checkpoint_folder(output, key)), every=1, notice="")
    writer = CheckpointWriter(plan=plan, settings={})
    (writer.writing / "global_step_1").mkdir(parents=True)
    assert [trial.checkpoint for trial in trial_states(output)] == [None] * 4
    writer.complete(step=1, keep=Path.touch)
    assert [trial.checkpoint for trial in trial_states(output)] == [None, None, 1, None]
    show_status(output)
    assert "cut off, goes on from step 1" in capsys.readouterr().out
    remove_checkpoints(output, of=lambda trial: trial != key)
    assert checkpointed_trials(output) == {key: 1}
    remove_checkpoints(output, of=lambda trial: trial == key)
    assert checkpointed_trials(output) == {}


def test_a_trial_whose_run_was_deleted_in_mlflow_waits_again(output: Path) -> None:
    client = MlflowClient(tracking_uri=tracking_uri(output))
    (run,) = (run for run in recorded_runs(output) if run.state == "finished")
    client.delete_run(run.run_id)
    assert [trial.state for trial in trial_states(output)] == ["waiting", "failed", "cut off", "waiting"]
    client.restore_run(run.run_id)
    assert trial_states(output)[0].state == "finished"
