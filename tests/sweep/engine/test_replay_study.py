"""An Optuna study of replays through the real engine (Ray Tune, Optuna, MLflow), killed and resumed.

The proof that nothing is lost, doubled or chosen otherwise: a plain loop of Optuna and the replay, without Ray, MLflow
and kills, gives the same arms with the same numbers.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

from iskpo.replay.refilter import ReplaySettings, replay
from sweep.arms.objectives import trial_objectives
from sweep.commands.cli import app
from sweep.engine.suggester import OptunaSuggester
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.recorded_traces import KeptTraces, recorded_trials
from sweep.store.study_folder import tracking_uri
from sweep.study.study import load_study
from tests.sweep.recorded_study import EPS_HIGH, EPS_LOW, record_study
from tests.sweep.running_study import wait_for_trials

TRIALS, KILLED_AT = 30, 10
STUDY = f"""\
name: replayed
question: Which arms clip at a low gain?
profile: tiny
trial: {{kind: replay, traces: earlier}}
space:
  kind: optuna
  sampler: tpe
  trials: {TRIALS}
  objective: [clip_fraction, realised_gain, autocorrelation]
  parameters:
    gain: {{low: 1.0e-4, high: 0.3, log: true}}
    threshold: {{low: 0.01, high: 1, log: true}}
    kappa: 3
"""


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "sweep.cli", *map(str, arguments)]


def _environment() -> dict[str, str]:
    # Of a user who hides GPUs, which Ray would take for a machine that has too few for a slot.
    variables = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return {**variables, "CUDA_VISIBLE_DEVICES": ""}


def _start(*arguments: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(_command(*arguments), env=_environment(), stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that was killed and resumed, at its end."""
    folder = tmp_path_factory.mktemp("replay")
    record_study(folder / "earlier")
    study, output = folder / "study.yaml", folder / "output"
    study.write_text(STUDY)
    killed = _start("run", study, "--output", output, "--quiet")
    wait_for_trials(output, trials=KILLED_AT, process=killed)
    killed.kill()
    killed.wait()
    assert KILLED_AT <= len(recorded_runs(output)) < TRIALS
    # The traces are this study's own by now.
    shutil.move(folder / "earlier" / "mlflow.db", folder / "earlier" / "gone.db")
    # In this process, which has everything imported that a new one would have to.
    environment = {"CUDA_VISIBLE_DEVICES": "", "RAY_ADDRESS": None}
    resumed = CliRunner(env=environment).invoke(app, ["resume", str(output), "--quiet"], catch_exceptions=False)
    assert (resumed.exit_code, resumed.output.strip()) == (0, str(output / "trials.csv"))
    shutil.move(folder / "earlier" / "gone.db", folder / "earlier" / "mlflow.db")
    return output


@pytest.mark.slow
def test_a_budget_a_stop_and_more_trials(tmp_path: Path) -> None:
    record_study(tmp_path / "earlier")
    study, more, output = tmp_path / "study.yaml", tmp_path / "more.yaml", tmp_path / "output"
    study.write_text(f"{STUDY}budget: {{trials: 12}}\n")
    more.write_text(STUDY.replace(f"trials: {TRIALS}", f"trials: {2 * TRIALS}"))
    done = subprocess.run(
        _command("run", study, "--output", output), env=_environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "The budget is spent: 12 of 12 trials" in done.stdout
    assert len(recorded_runs(output)) == 12
    stopped = _start("resume", output, more, "--extend")
    wait_for_trials(output, trials=20, process=stopped)
    subprocess.run(_command("stop", output), env=_environment(), check=True, timeout=60)
    assert stopped.wait(timeout=300) == 130
    assert 20 <= len(recorded_runs(output)) < 2 * TRIALS
    done = subprocess.run(_command("resume", output), env=_environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    runs = recorded_runs(output)
    assert len({run.trial for run in runs}) == len(runs) == 2 * TRIALS
    assert {run.state for run in runs} == {"finished"}


def test_it_is_what_a_plain_loop_gives(output: Path, tmp_path: Path) -> None:
    study = load_study(output / "study.yaml")
    traces = KeptTraces.load(output)
    plain = OptunaSuggester(
        space=study.space, defaults=study.defaults, storage_path=tmp_path / "optuna.db", study_name="plain"
    )
    expected = {}
    while (asked := plain.ask()) is not None:
        number, arm = asked
        metrics = traces.metrics(arm)
        plain.tell(number=number, metrics=trial_objectives(steps=[metrics], evaluation={}))
        expected[f"{arm.name}_s0"] = (arm.q, arm.v, arm.kappa, metrics)
    runs = recorded_runs(output, metrics=("kalman/*", "replay/*"), params=True)
    assert [run.trial for run in runs] == list(expected)
    assert {(run.state, run.attempts, run.step, run.status) for run in runs} == {("finished", 1, 1, "FINISHED")}
    for run in runs:
        *numbers, metrics = expected[run.trial]
        assert [float(run.params[name]) for name in ("q", "v", "kappa")] == numbers
        assert run.metrics == metrics


def test_optuna_has_been_told_each_result_once(output: Path) -> None:
    kept = optuna.load_study(study_name="replayed", storage=f"sqlite:///{output / 'optuna.db'}")
    names = ("clip_fraction", "realised_gain", "autocorrelation")
    runs = recorded_runs(output, metrics=("objective/*",))
    assert [trial.state.name for trial in kept.trials] == ["COMPLETE"] * TRIALS
    assert [trial.values for trial in kept.trials] == [
        [run.metrics[f"objective/{name}"] for name in names] for run in runs
    ]


def test_the_replay_is_that_of_the_earlier_study(output: Path) -> None:
    arm = load_study(output / "study.yaml").space.corners(defaults=load_study(output / "study.yaml").defaults)[0]
    result = None
    for trial in recorded_trials(output=output.parent / "earlier", only=[]):
        settings = ReplaySettings.of(q=arm.q, v=arm.v, kappa=arm.kappa)
        own = replay(trial.traces, settings=settings, eps_low=EPS_LOW, eps_high=EPS_HIGH)
        result = own if result is None else result.merge(own)
    assert result is not None
    found = KeptTraces.load(output).metrics(arm)
    assert found["kalman/tokens"] == result.tokens
    assert found["kalman/clipped_tokens"] == result.counts[0, 0]
    assert found["kalman/gain_mean"] == pytest.approx(result.gain_mean[0], rel=1e-12)
    assert found["replay/switch_frequency"] == pytest.approx(result.switch_frequency[0], rel=1e-12)


def test_mlflow_sees_whole_runs(output: Path) -> None:
    client = MlflowClient(tracking_uri=tracking_uri(output))
    (experiment,) = [e for e in client.search_experiments() if e.name == "replayed"]
    runs = client.search_runs([experiment.experiment_id])
    children = [run for run in runs if run.data.tags["iskpo.kind"] == "trial"]
    (parent,) = [run for run in runs if run.data.tags["iskpo.kind"] == "study"]
    assert (len(children), parent.info.status, parent.data.tags["iskpo.state"]) == (TRIALS, "FINISHED", "finished")
    for run in children:
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert (run.info.status, run.info.experiment_id) == ("FINISHED", experiment.experiment_id)
        assert run.info.end_time >= run.info.start_time > parent.info.start_time
        (point,) = client.get_metric_history(run.info.run_id, "kalman/gain_mean")
        assert (point.step, point.value) == (1, run.data.metrics["kalman/gain_mean"])
    # The artifacts of such a run can be used like those of any other.
    note = output.parent / "note.txt"
    note.write_text("looked at")
    client.log_artifact(children[0].info.run_id, str(note))
    assert [entry.path for entry in client.list_artifacts(children[0].info.run_id)] == ["note.txt"]


def test_the_other_commands_know_the_study(output: Path) -> None:
    status = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["status", str(output)])
    assert f"Study replayed: {TRIALS} finished. It has ended." in status.output
    assert "are beaten by no other in clip_fraction and realised_gain and autocorrelation" in status.output
    data = json.loads(CliRunner().invoke(app, ["status", str(output), "--json"]).output)
    assert (len(data["trials"]), data["not_chosen_yet"], data["run_by"]) == (TRIALS, 0, None)
    plan = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["plan", str(output / "study.yaml")])
    assert (plan.exit_code, "Optuna's tpe" in plan.output) == (0, True)
    report = CliRunner().invoke(app, ["report", str(output)])
    assert report.output.strip() == str(output / "trials.csv")
    with (output / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == TRIALS
    values = [
        [float(row[f"objective/{name}"]) for name in ("clip_fraction", "realised_gain", "autocorrelation")]
        for row in rows
    ]
    best = optuna.load_study(study_name="replayed", storage=f"sqlite:///{output / 'optuna.db'}").best_trials
    assert [value for value, row in zip(values, rows, strict=True) if row["unbeaten"] == "True"] == [
        trial.values for trial in sorted(best, key=lambda trial: trial.number)
    ]


def test_a_study_that_has_ended_can_be_resumed_and_nothing_is_run(output: Path) -> None:
    before = [(run.run_id, run.end_time) for run in recorded_runs(output)]
    again = CliRunner().invoke(app, ["resume", str(output), "--quiet"])
    assert again.exit_code == 0, again.output
    assert [(run.run_id, run.end_time) for run in recorded_runs(output)] == before


def test_what_cannot_be_is_refused_before_anything_is_changed(output: Path) -> None:
    kept = (output / "study.yaml").read_text()
    for changed, expected in (
        (kept.replace("high: 0.3", "high: 0.2"), "--extend takes more space.trials alone"),
        (kept.replace(f"trials: {TRIALS}", "trials: 5"), "--extend takes more space.trials alone"),
        (kept.replace("traces: earlier", "traces: other"), "these have changed: trial"),
    ):
        study = output.parent / "changed.yaml"
        study.write_text(changed)
        done = CliRunner().invoke(app, ["resume", str(output), str(study), "--extend"])
        assert (done.exit_code, expected in done.output) == (2, True), done.output
    done = CliRunner().invoke(app, ["resume", str(output), "--retry-failed"])
    assert (done.exit_code, "Optuna has chosen other arms since" in done.output) == (2, True)
    assert (output / "study.yaml").read_text() == kept
