"""A study that its machine cuts off ends with one line, and nothing is lost.

A process of Ray's dies (a stand-in that has its name alone), a disk becomes full, or another process locks a store.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import optuna
import psutil
import pytest
from mlflow.exceptions import MlflowException

from sweep.engine.cut_off import ended_with_ray, said_clearly
from sweep.input.errors import EXIT_INTERRUPTED, StudyCutOff
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.study_folder import AT_ONCE
from tests.sweep.recorded_study import record_study


def _process_named(name: str, folder: Path) -> "subprocess.Popen[bytes]":
    program = shutil.which("sleep")
    assert program is not None
    shutil.copy(program, folder / name)
    return subprocess.Popen([str(folder / name), "60"])


@pytest.fixture(autouse=True)
def _at_once_interrupts() -> Iterator[None]:
    before = signal.signal(AT_ONCE, signal.default_int_handler)
    yield
    signal.signal(AT_ONCE, before)


def _body(process: "subprocess.Popen[bytes]") -> None:
    with ended_with_ray(output=Path("out/folder")) as watched:
        watched[psutil.Process(process.pid)] = Path(str(process.args[0])).name
        process.kill()
        time.sleep(30)


@pytest.mark.parametrize(("name", "said"), [("raylet", "raylet"), ("gcs_server", "GCS")])
def test_the_body_ends_when_a_process_of_rays_dies(name: str, said: str, tmp_path: Path) -> None:
    process = _process_named(name, tmp_path)
    with pytest.raises(StudyCutOff, match=rf"Ray's {said} has died.*iskpo-sweep resume out/folder") as ended:
        _body(process)
    assert ended.value.exit_code == EXIT_INTERRUPTED
    process.wait()


def test_what_ends_on_purpose_is_no_death(tmp_path: Path) -> None:
    process = _process_named("raylet", tmp_path)
    with ended_with_ray(output=tmp_path) as watched:
        watched[psutil.Process(process.pid)] = "raylet"
        time.sleep(1)
        watched.clear()
        process.kill()
        process.wait()
        time.sleep(2)


def test_an_interrupt_stays_an_interrupt(tmp_path: Path) -> None:
    process = _process_named("raylet", tmp_path)
    with pytest.raises(KeyboardInterrupt), ended_with_ray(output=tmp_path):
        signal.raise_signal(AT_ONCE)
    process.kill()
    process.wait()


def test_nothing_is_watched_after_the_body(tmp_path: Path) -> None:
    process = _process_named("raylet", tmp_path)
    with ended_with_ray(output=tmp_path):
        watcher = next(thread for thread in threading.enumerate() if thread.name == "ray-alive")
    process.kill()
    process.wait()
    watcher.join(timeout=10)
    assert not watcher.is_alive()


TRIALS = 40
STUDY = f"""\
name: replayed
profile: tiny
trial: {{kind: replay, traces: earlier}}
space:
  kind: optuna
  sampler: tpe
  trials: {TRIALS}
  objective: [clip_fraction, realised_gain]
  parameters:
    gain: {{low: 1.0e-4, high: 0.3, log: true}}
    threshold: {{low: 0.01, high: 1, log: true}}
    kappa: 3
"""

_NOT_OURS = ("CUDA_VISIBLE_DEVICES", "RAY_ADDRESS")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MlflowException("(sqlite3.OperationalError) database is locked"), "locked: end it"),
        (OSError(28, "No space left on device"), "make room"),
        (sqlite3.OperationalError("disk I/O error"), "mend it"),
    ],
)
def test_one_line_says_what_is_wrong(error: Exception, expected: str) -> None:
    def end_in_vain() -> None:
        try:
            raise error
        finally:
            # What ends the study fails on the same disk, and must not hide why it ended.
            raise RuntimeError("the study's run could not be ended")

    with pytest.raises(StudyCutOff, match=expected) as caught, said_clearly(Path("out")):
        end_in_vain()
    assert caught.value.exit_code == 130
    assert "iskpo-sweep resume out" in str(caught.value)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), said_clearly(Path("out")):
        _ = 1 / 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system in memory, whose size can be changed while it is used."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6g", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")

    def resize(size: str) -> Path:
        subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
        return folder

    yield resize
    subprocess.run(["umount", "-l", folder], check=True)


def _start(*arguments: object) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    command = [sys.executable, "-m", "sweep.cli", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _wait_for(output: Path, *, trials: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if len(recorded_runs(output)) >= trials:
                return
        except sqlite3.OperationalError:
            pass
        time.sleep(0.02)
    pytest.fail(f"{trials} trials were not reached")


def _resumed_to_its_end(output: Path) -> None:
    before = {run.run_id: run.end_time for run in recorded_runs(output) if run.state == "finished"}
    resumed = _start("resume", output, "--quiet")
    _, said = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, said[-3000:]
    runs = recorded_runs(output, metrics=("objective/*",))
    assert len({run.trial for run in runs}) == len(runs) == TRIALS
    assert {run.state for run in runs} == {"finished"}
    # What had finished was not run again.
    assert before.items() <= {run.run_id: run.end_time for run in runs}.items()
    kept = optuna.load_study(study_name="replayed", storage=f"sqlite:///{output / 'optuna.db'}").trials
    told = {f"{run.metrics['objective/clip_fraction']}/{run.metrics['objective/realised_gain']}" for run in runs}
    assert {f"{trial.values[0]}/{trial.values[1]}" for trial in kept} == told
    assert len(kept) == TRIALS


@pytest.mark.slow
def test_a_disk_that_becomes_full(disk: Callable[[str], Path], tmp_path: Path) -> None:
    folder = disk("6g")
    record_study(tmp_path / "earlier")
    (tmp_path / "study.yaml").write_text(STUDY)
    output = folder / "output"
    process = _start("run", tmp_path / "study.yaml", "--output", output, "--quiet")
    _wait_for(output, trials=10, process=process)
    used = os.statvfs(folder)
    disk(str((used.f_blocks - used.f_bfree) * used.f_frsize + 16384))
    _, said = process.communicate(timeout=300)
    print(said)
    assert process.returncode == 130, said[-3000:]
    assert f"error: the disk of {output} is full: make room, and go on with `iskpo-sweep resume {output}`" in said
    assert "Traceback" not in said
    disk("6g")
    assert 10 <= len(recorded_runs(output)) < TRIALS
    _resumed_to_its_end(output)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["mlflow.db", "optuna.db"])
def test_a_store_that_another_process_keeps_locked(tmp_path: Path, file: str) -> None:
    record_study(tmp_path / "earlier")
    (tmp_path / "study.yaml").write_text(STUDY)
    output = tmp_path / "output"
    process = _start("run", tmp_path / "study.yaml", "--output", output, "--quiet")
    _wait_for(output, trials=5, process=process)
    with closing(sqlite3.connect(output / file, timeout=60, isolation_level=None)) as other:
        # For a while: the study waits.
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(5)
        other.execute("ROLLBACK")
    _wait_for(output, trials=12, process=process)
    with closing(sqlite3.connect(output / file, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        _, said = process.communicate(timeout=300)
        other.execute("ROLLBACK")
    print(said)
    assert process.returncode == 130, said[-3000:]
    assert "locked: end it, and go on with `iskpo-sweep resume" in said
    assert "Traceback" not in said
    assert 12 <= len(recorded_runs(output)) < TRIALS
    _resumed_to_its_end(output)
