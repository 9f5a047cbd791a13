"""Optuna studies with early stopping that really train: an arm that falls behind is ended and the slot stays warm. One
study's command is killed, the other's hours are spent; after resuming, every arm's result is where it belongs.
"""

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from sweep.store.mlflow_tables import recorded_runs

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

# Seed 0 draws gains of 0.7 %, 24 % and 0.9 %. After the first step, the one rung there is, the second is behind.
STUDY = """\
name: early
profile: tiny
space:
  kind: optuna
  sampler: random
  trials: 3
  objective: realised_gain
  parameters:
    gain: {low: 1.0e-4, high: 0.3, log: true}
    threshold: {low: 0.03, high: 3, log: true}
    kappa: 3
early_stopping: {method: asha, after: 1, keep: 4}
steps: 3
eval: {samples: 1}
"""


def test_an_arm_that_falls_behind_is_ended_and_a_killed_study_goes_on(tmp_path: Path) -> None:
    study, output = tmp_path / "study.yaml", tmp_path / "output"
    study.write_text(STUDY)
    command = [sys.executable, "-m", "sweep.cli"]
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    process = subprocess.Popen(
        [*command, "run", str(study), "--output", str(output)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if "t0002" in line and "step 1/3" in line:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    assert "ended after step 1, since it fell behind" in seen, seen[-3000:]
    # The third arm began in the slot of the one that was ended.
    assert seen.count("starting verl and vLLM") == 1
    assert [(run.state, run.step) for run in recorded_runs(output)] == [
        ("finished", 3),
        ("stopped early", 1),
        ("running", 1),
    ]
    _finished("resume", output)
    runs = recorded_runs(output, metrics=("objective/realised_gain", "kalman/gain_mean"))
    assert [(run.state, run.step, run.attempts) for run in runs] == [
        ("finished", 3, 1),
        ("stopped early", 1, 1),
        ("finished", 3, 2),
    ]
    kept = optuna.load_study(study_name="early", storage=f"sqlite:///{output / 'optuna.db'}").trials
    assert [trial.state.name for trial in kept] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert [trial.value for trial in kept] == [run.metrics["objective/realised_gain"] for run in runs]
    assert kept[1].intermediate_values == {1: runs[1].metrics["objective/realised_gain"]}
    # A gain depends on lengths alone, and the prompts of the first step are the same for all arms.
    assert runs[1].metrics["objective/realised_gain"] == pytest.approx(runs[1].metrics["kalman/gain_mean"])
    assert 0.1 < runs[1].metrics["objective/realised_gain"] < 0.3
    assert (output / "report" / "report.pdf").exists()
    assert (output / "trials.csv").exists()


def test_hours_end_a_study_and_the_median_of_before_ends_trials_of_the_extended_one(tmp_path: Path) -> None:
    study, longer, output = tmp_path / "study.yaml", tmp_path / "longer.yaml", tmp_path / "output"
    # Of one other trial: the second arm is behind the first after one step, the third after two, where it is alone
    # with the first.
    median = STUDY.replace("{method: asha, after: 1, keep: 4}", "{method: median, after: 1, others: 1}")
    study.write_text(f"{median}budget: {{hours: 0.001}}\n")
    longer.write_text(f"{median}budget: {{hours: 5}}\n")
    done = _finished("run", study, "--output", output)
    assert "of 0.001 hours" in done
    assert [(run.state, run.step) for run in recorded_runs(output)] == [("finished", 3)]
    done = _finished("resume", output, longer, "--extend")
    assert done.count("since it fell behind") == 2
    runs = recorded_runs(output)
    assert [(run.state, run.step, run.attempts) for run in runs] == [
        ("finished", 3, 1),
        ("stopped early", 1, 1),
        ("stopped early", 2, 1),
    ]


def _finished(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sweep.cli", *map(str, arguments)],
        env={name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
