"""Kill -9 of each component of a running study, at a random moment: nothing is lost, nothing doubled.

A run starts the smoke study, waits for a random moment, kills a component, lets the command end as it will, and resumes
until it says that the study is complete. What is in MLflow must then be what an undisturbed study leaves.

``ISKPO_FAULT_RUNS`` (20) runs, of which one is in CI; ``ISKPO_FAULT_FIRST`` (0) is the number of the first, and a run's
number decides all that is random in it.
"""

import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pandas as pd
import psutil
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from sweep.store.study_folder import tracking_uri
from tests.sweep.running_study import MARK, left_behind

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parents[3]
RUNS, FIRST = int(os.environ.get("ISKPO_FAULT_RUNS", "20")), int(os.environ.get("ISKPO_FAULT_FIRST", "0"))
STEPS, PROBLEMS, SAMPLES = 2, 500, 2
TRIALS = ("kpo-strong_s0", "low-gain-clipping_s0")
# Part of a component's command line.
COMPONENTS = {
    "slot": "sweep.engine.slot",
    "vLLM's engine": "VLLM::EngineCore",
    "the command": "iskpo-sweep run",
    "the policy's worker": "ray::WorkerDict",
    "Ray's raylet": "raylet/raylet",
    "the trial runner": "ray::ResourceTrainable",
    "vLLM's server": "ray::vLLMHttpServer",
    "Ray's GCS": "gcs_server",
    "the agent loop": "ray::SeededAgentLoopWorker",
    "TransferQueue's storage": "ray::SimpleStorageUnit",
    "TransferQueue's controller": "ray::TransferQueueController",
    "the reward loop": "ray::RewardLoopWorker",
}
# A line of the command's output after which the moment is drawn, and the longest wait from there in seconds: about what
# passes until the next of them.
MOMENTS = [
    ("starting verl and vLLM", 60),
    ("kpo-strong_s0: ready", 5),
    ("kpo-strong_s0: step 1/", 5),
    ("kpo-strong_s0: evaluating", 8),
    ("kpo-strong_s0: finished", 2),
    ("low-gain-clipping_s0: ready", 5),
    ("low-gain-clipping_s0: step 1/", 5),
    # Shorter than an evaluation: soon after it the last trial's processes are gone, and there is nothing to kill.
    ("low-gain-clipping_s0: evaluating", 4),
]


def _program(*arguments: object) -> list[str]:
    return [str(Path(sys.executable).with_name("iskpo-sweep")), *map(str, arguments)]


def _component(command: psutil.Process, part: str) -> psutil.Process | None:
    for process in [command, *command.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if part in " ".join(process.cmdline()):
                return process
    return None


def _kill_at(*, process: "subprocess.Popen[str]", log: Path, component: str, line: str, delay: float) -> None:
    """Wait for the line, then for the delay, then kill the component as soon as there is one."""
    command = psutil.Process(process.pid)
    while process.poll() is None and line not in log.read_text(encoding="utf-8"):
        time.sleep(0.1)
    assert process.poll() is None, f"the study ended before {line!r}: {log.read_text(encoding='utf-8')[-3000:]}"
    time.sleep(delay)
    while process.poll() is None:
        if found := _component(command, COMPONENTS[component]):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.kill()
            return
        time.sleep(0.1)
    raise AssertionError(f"the study ended before there was {component}: {log.read_text(encoding='utf-8')[-3000:]}")


def _run(arguments: list[str], *, log: Path, mark: str) -> "subprocess.Popen[str]":
    with log.open("w", encoding="utf-8") as file:
        return subprocess.Popen(
            arguments,
            env={**os.environ, MARK: mark},
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def _runs(output: Path) -> list[Run]:
    client = MlflowClient(tracking_uri=tracking_uri(output))
    experiment = client.get_experiment_by_name("smoke")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def _check_complete(output: Path) -> None:
    """Exactly the planned trials, each finished, with every metric at every step once, and every sample."""
    runs = _runs(output)
    assert sorted(str(run.info.run_name) for run in runs) == sorted(["smoke", *TRIALS])
    assert {run.info.status for run in runs} == {"FINISHED"}
    client = MlflowClient(tracking_uri=tracking_uri(output))
    for run in runs:
        if run.info.run_name not in TRIALS:
            continue
        for metric in ("kalman/gain_mean", "kalman/clip_fraction", "innovation/max_abs", "reward/mean"):
            history = client.get_metric_history(run.info.run_id, metric)
            assert [point.step for point in history] == list(range(1, STEPS + 1)), (run.info.run_name, metric)
            assert all(math.isfinite(point.value) for point in history)
        table = pd.read_parquet(client.download_artifacts(run.info.run_id, f"samples/step_{STEPS:04d}.parquet"))
        assert (len(table), table["problem_id"].nunique()) == (PROBLEMS * SAMPLES, PROBLEMS)
        assert run.data.metrics[f"eval/arithmetic/avg_at_{SAMPLES}"] == pytest.approx(table["correct"].mean())
    assert (output / "report" / "report.pdf").exists()


# The command itself, while verl starts: the shortest, and it is resumed.
_IN_CI = 2


def _number(number: int) -> object:
    marks = () if number == _IN_CI else (pytest.mark.slow,)
    return pytest.param(number, marks=marks)


@pytest.mark.parametrize("number", [_number(number) for number in range(FIRST, FIRST + RUNS)])
def test_after_a_kill_the_study_is_completed(number: int, tmp_path: Path) -> None:
    chance = random.Random(number)
    component = list(COMPONENTS)[number % len(COMPONENTS)]
    line, longest = chance.choice(MOMENTS)
    delay = chance.uniform(0, longest)
    output, mark = tmp_path / "output", uuid.uuid4().hex
    began, log = time.monotonic(), tmp_path / "run.log"
    study = ROOT / "studies" / "smoke.yaml"
    process = _run(_program("run", study, "--output", output), log=log, mark=mark)
    _kill_at(process=process, log=log, component=component, line=line, delay=delay)
    codes = [process.wait(timeout=1200)]
    assert left_behind(mark, patience=30) == [], log.read_text()[-3000:]
    before = {str(run.info.run_name): run for run in _runs(output)}
    while codes[-1] != 0 and len(codes) < 4:
        log = tmp_path / f"resume_{len(codes)}.log"
        codes.append(_run(_program("resume", output), log=log, mark=mark).wait(timeout=1200))
        assert left_behind(mark, patience=30) == [], log.read_text()[-3000:]
    record = {"run": number, "killed": component, "after": f"{line} + {delay:.1f} s", "exit codes": codes}
    print(json.dumps(record | {"seconds": round(time.monotonic() - began)}))
    assert codes[-1] == 0, log.read_text()[-3000:]
    _check_complete(output)
    for run in _runs(output):
        earlier = before.get(str(run.info.run_name))
        # The same runs, and what had finished was not touched again.
        assert earlier is None or earlier.info.run_id == run.info.run_id
        if earlier is not None and run.info.run_name in TRIALS and earlier.info.status == "FINISHED":
            assert run.info.end_time == earlier.info.end_time
