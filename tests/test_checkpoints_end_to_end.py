"""A trial that is cut off goes on from its checkpoint, and ends with what the undisturbed one has, bit for bit.

The two arms of the study are one: a threshold that no innovation reaches does nothing. The first trial runs
undisturbed. In the second, the slot is killed in one phase of a step after another, and at last the command is ended by
SIGTERM.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from iskpo.verl.checkpoint import latest_step
from sweep.store.mlflow_tables import metric_points, recorded_runs
from sweep.store.study_folder import artifact_folder, attempts, checkpoint_folder
from tests.sweep.running_study import MARK, left_behind

pytestmark = pytest.mark.end_to_end

UNDISTURBED, DISTURBED = "undisturbed_s0", "disturbed_s0"
STUDY = """
name: checkpoints
profile: tiny
space:
  kind: arms
  arms:
    - {{name: undisturbed, q: 1e-6, v: 1, kappa: 1e6}}
    - {{name: disturbed, q: 1e-6, v: 1, kappa: inf}}
steps: {steps}
twins: train
eval: {{samples: 1, every: 2, untrained: false}}
checkpoint: {{every: 1}}
retries: 10
overrides:
  data.val_max_samples: 40
"""
_PATIENCE_SECONDS = 7200.0
# Times and memory; vLLM's own log probabilities, which are only logged and whose last bits depend on what else is in a
# batch; and the threshold itself, which is finite in one of the two alone.
_MAY_DIFFER = ("timing_s/", "actor/perf/", "rollout_corr/", "kalman/kappa", "kalman/threshold")


class _Watched:
    """The attempt at the disturbed trial that runs, as its files show it."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def events(self) -> list[dict[str, Any]]:
        folders = attempts(self.output, DISTURBED)
        path = folders[-1] / "events.jsonl" if folders else None
        if path is None or not path.exists():
            return []
        return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]

    def within(self, step: int, phase: str = "step") -> bool:
        """Whether it is in this phase of this step, or of a later one, or was a moment ago."""
        events = [event for event in self.events() if event["kind"] == "progress"]
        return bool(events) and events[-1]["text"] == phase and events[-1]["step"] >= step

    def begun(self, step: int) -> bool:
        """Whether it has begun this step, or a later one."""
        return any(event["kind"] == "progress" and event["step"] >= step for event in self.events())

    def written(self, name: str) -> bool:
        """Whether such a file of a checkpoint that is not complete is there."""
        return next((checkpoint_folder(self.output, DISTURBED) / "writing").glob(f"*/{name}"), None) is not None


# The step from which on the slot is killed, and the phase: whether it has come.
KILLS: list[tuple[str, int, Callable[[_Watched, int], bool]]] = [
    ("rollout", 2, lambda trial, step: trial.within(step, "step")),
    ("old log probabilities", 3, lambda trial, step: trial.within(step, "log_probs")),
    ("update", 4, lambda trial, step: trial.within(step, "update")),
    ("writing a checkpoint", 5, lambda trial, step: trial.begun(step) and trial.written("actor/model*")),
    ("sending weights", 6, lambda trial, step: trial.begun(step) and trial.written("data.pt")),
    ("evaluation", 6, lambda trial, step: trial.within(step, "evaluation")),
]


def _start(*arguments: object, log: Path, mark: str) -> "subprocess.Popen[str]":
    program = str(Path(sys.executable).with_name("iskpo-sweep"))
    with log.open("a", encoding="utf-8") as file:
        return subprocess.Popen(
            # In a process group of its own, to all of which it sends the signal.
            ["timeout", "--signal=TERM", str(_PATIENCE_SECONDS), program, *map(str, arguments)],
            env={**os.environ, MARK: mark},
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8")[-3000:]


def _wait(process: "subprocess.Popen[str]", log: Path, reached: Callable[[], bool]) -> None:
    while not reached():
        assert process.poll() is None, _end_of(log)
        time.sleep(0.005)


def _kill_slot(process: "subprocess.Popen[str]") -> None:
    for child in psutil.Process(process.pid).children(recursive=True):
        if "sweep.engine.slot" in " ".join(child.cmdline()):
            child.kill()
            return
    raise AssertionError("there was no slot to kill")


def _points(output: Path, trial: str) -> list[tuple[str, int, float]]:
    (run,) = (run for run in recorded_runs(output) if run.trial == trial)
    points = [(name, step, value) for _, name, step, value in metric_points(output, ("*",), run_id=run.run_id)]
    return sorted(point for point in points if not point[0].startswith(_MAY_DIFFER))


def _check_equal(output: Path, *, steps: int) -> None:
    """Metrics, samples, log ratios and innovations of the two trials."""
    undisturbed = _points(output, UNDISTURBED)
    assert _points(output, DISTURBED) == undisturbed
    assert {step for name, step, _ in undisturbed if name == "kalman/gain_mean"} == set(range(1, steps + 1))
    runs = {run.trial: run for run in recorded_runs(output)}
    assert {run.state for run in runs.values()} == {"finished"}
    folders = {trial: artifact_folder(output, run.run_id) for trial, run in runs.items()}
    tables = sorted(path.relative_to(folders[UNDISTURBED]) for path in folders[UNDISTURBED].rglob("*.parquet"))
    # An evaluation every other step, log ratios of every step, the innovations' bins and moments.
    assert len(tables) == steps // 2 + steps + 2
    for table in tables:
        pd.testing.assert_frame_equal(
            *(pd.read_parquet(folders[trial] / table) for trial in (UNDISTURBED, DISTURBED)), check_exact=True
        )


@pytest.mark.parametrize(
    ("kills", "steps"),
    [
        pytest.param([], 4, id="SIGTERM alone"),
        pytest.param(KILLS, 8, id="a kill in every phase", marks=pytest.mark.slow),
    ],
)
def test_a_trial_that_is_cut_off_equals_the_undisturbed_one(
    kills: list[tuple[str, int, Callable[[_Watched, int], bool]]], steps: int, tmp_path: Path
) -> None:
    output, study, mark = tmp_path / "output", tmp_path / "checkpoints.yaml", uuid.uuid4().hex
    study.write_text(STUDY.format(steps=steps), encoding="utf-8")
    log, trial = tmp_path / "run.log", _Watched(output)
    process = _start("run", study, "--output", output, log=log, mark=mark)
    for phase, step, reached in kills:
        _wait(process, log, lambda step=step, reached=reached: reached(trial, step))  # type: ignore[misc]
        _kill_slot(process)
        print(f"killed in step {step}: {phase}", flush=True)
        attempt = len(attempts(output, DISTURBED))
        _wait(process, log, lambda attempt=attempt: len(attempts(output, DISTURBED)) > attempt)  # type: ignore[misc]
    last = kills[-1][1] if kills else 1
    _wait(process, log, lambda: trial.begun(last + 1))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 130, _end_of(log)
    assert left_behind(mark, patience=30) == [], _end_of(log)
    checkpoint = latest_step(checkpoint_folder(output, DISTURBED))
    assert (checkpoint or 0) > last, _end_of(log)
    process = _start("resume", output, log=log, mark=mark)
    assert process.wait(timeout=_PATIENCE_SECONDS) == 0, _end_of(log)
    said = log.read_text(encoding="utf-8")
    assert f"{DISTURBED}: goes on from step {checkpoint}" in said
    assert ("half written and not used" in said) == any(phase == "writing a checkpoint" for phase, _, _ in kills), said
    _check_equal(output, steps=steps)
    assert not checkpoint_folder(output, DISTURBED).exists()
