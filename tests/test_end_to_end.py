"""The application as a user runs it: a study through Ray Tune, verl, vLLM, the loss, MLflow and Typst.

Minutes long, nearly all of it start-up. The embedded model is taught on the first run and cached for the next.
"""

import dataclasses
import ipaddress
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from pypdf import PdfReader

from iskpo.replay.logged_statistics import statistics_of_steps
from sweep.store.recorded_traces import recorded_trials
from sweep.store.study_folder import tracking_uri
from tests.sweep.fault_runs import FaultRun, component_of, moment_of, run_with_fault
from tests.sweep.running_study import MARK, left_behind, listeners, refusing_network

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parents[1]
STEPS, PROBLEMS, SAMPLES = 2, 500, 2
# The fault run that is in CI: the command itself is killed, which is the shortest, and what it leaves is all the rest.
IN_CI = 2


def _command(output: Path) -> list[str]:
    program = Path(sys.executable).with_name("iskpo-sweep")
    return [str(program), "run", str(ROOT / "studies" / "smoke.yaml"), "--output", str(output)]


def _runs(output: Path) -> dict[str, Run]:
    client = MlflowClient(tracking_uri=tracking_uri(output))
    experiment = client.get_experiment_by_name("smoke")
    assert experiment is not None
    return {str(run.info.run_name): run for run in client.search_runs([experiment.experiment_id])}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[FaultRun, Path]:
    """The smoke study, its command killed in the second trial and resumed to the end; and its folder."""
    folder, mark = tmp_path_factory.mktemp("smoke"), uuid.uuid4().hex
    # Files that would stand for Python's, others' and our modules, were the user's folder on anybody's path.
    shadows = folder / "shadows"
    for name in ("types", "json", "numpy", "sweep", "iskpo/__init__", "mlflow/__init__"):
        (shadows / name).parent.mkdir(parents=True, exist_ok=True)
        (shadows / f"{name}.py").write_text("raise RuntimeError('the current folder is on the path')\n")
    seen, ended = _Seen(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(mark, seen, ended))
    watcher.start()
    try:
        found = run_with_fault(
            number=IN_CI,
            component=component_of(IN_CI),
            moment=moment_of(IN_CI, component=component_of(IN_CI)),
            folder=folder / "run",
            environment={**refusing_network(folder / "contacts"), MARK: mark},
            current=shadows,
        )
    finally:
        ended.set()
        watcher.join()
    (folder / "seen.json").write_text(json.dumps(dataclasses.asdict(seen)))
    return found, folder / "run" / "output"


@dataclasses.dataclass
class _Seen:
    """Sockets that listened (address and process), and the modes of Ray's folders."""

    listeners: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    modes: list[int] = dataclasses.field(default_factory=list)


def _watch(mark: str, seen: _Seen, ended: threading.Event) -> None:
    while not ended.wait(1):
        seen.listeners = sorted({*seen.listeners, *listeners(mark)})
        folders = Path(tempfile.gettempdir()).glob("fr-*/iskpo-ray-*")
        seen.modes = sorted({*seen.modes, *(folder.stat().st_mode & 0o777 for folder in folders)})


@pytest.fixture
def finished(run: tuple[FaultRun, Path]) -> Path:
    """The study's folder: what it holds is what an undisturbed study leaves."""
    found, output = run
    assert found.codes[-1] == 0, (output.parent / f"command_{len(found.codes) - 1}.log").read_text()[-3000:]
    return output


def test_after_a_kill_the_study_is_completed(run: tuple[FaultRun, Path]) -> None:
    found, output = run
    assert found.problems() == []
    assert (output.parent / "command_0.log").read_text(encoding="utf-8").startswith("Profile tiny")


def test_nothing_listens_beyond_this_machine(finished: Path) -> None:
    seen = json.loads((finished.parents[1] / "seen.json").read_text())
    heard = seen["listeners"]
    # Ray's own processes, verl's TransferQueue and the policy's worker were seen listening.
    names = " ".join(name for _, name in heard)
    assert all(part in names for part in ("raylet", "gcs_server", "TransferQu", "WorkerDict"))
    assert [one for one in heard if not ipaddress.ip_address(one[0].removeprefix("::ffff:")).is_loopback] == []
    assert seen["modes"] == [0o700]


def test_nothing_leaves_this_machine(finished: Path) -> None:
    # Python's own sockets, of every process of the study; Ray's C++ processes are quiet by their settings.
    assert not (finished.parents[1] / "contacts").exists()


def test_every_trial_has_its_metrics_at_every_step(finished: Path) -> None:
    client = MlflowClient(tracking_uri=tracking_uri(finished))
    runs = _runs(finished)
    assert set(runs) == {"smoke", "kpo-strong_s0", "low-gain-clipping_s0"}
    for name, run in runs.items():
        assert run.info.status == "FINISHED"
        if name == "smoke":
            continue
        assert run.data.tags["mlflow.parentRunId"] == runs["smoke"].info.run_id
        for metric in (
            "kalman/gain_mean",
            "kalman/clip_fraction",
            "innovation/max_abs",
            "innovation/kurtosis",
            "reward/mean",
            "actor/grad_norm",
        ):
            history = client.get_metric_history(run.info.run_id, metric)
            assert [point.step for point in history] == list(range(1, STEPS + 1)), metric
            assert all(math.isfinite(point.value) for point in history)


def test_the_filter_does_what_its_parameters_say(finished: Path) -> None:
    client = MlflowClient(tracking_uri=tracking_uri(finished))

    def history(name: str, metric: str) -> list[float]:
        return [point.value for point in client.get_metric_history(_runs(finished)[name].info.run_id, metric)]

    for name in ("kpo-strong_s0", "low-gain-clipping_s0"):
        assert min(history(name, "innovation/kurtosis")) > 3
        # From inside the loss, and from the rollouts' lengths by the closed form.
        assert history(name, "kalman/gain_mean") == pytest.approx(history(name, "kalman/gain_closed_form"), rel=1e-6)
    assert history("kpo-strong_s0", "kalman/clip_fraction") == [0.0] * STEPS
    assert sum(history("low-gain-clipping_s0", "kalman/clip_fraction")) > 0
    # P_0 = 0 keeps the threshold at its first value, kappa sqrt(V + Q), until the gain has grown.
    assert history("low-gain-clipping_s0", "kalman/threshold") == pytest.approx([0.1] * STEPS, rel=0.01)


def test_arms_with_a_seed_begin_alike(finished: Path) -> None:
    rewards = {run.info.run_name: run.data.metrics for run in _runs(finished).values()}
    client = MlflowClient(tracking_uri=tracking_uri(finished))
    first = [
        client.get_metric_history(_runs(finished)[name].info.run_id, "reward/mean")[0].value
        for name in rewards
        if name != "smoke"
    ]
    # The same weights, prompts and sampling seeds before the first update: common random numbers, whichever the slot.
    assert first[0] == first[1]


def test_every_sample_is_kept(finished: Path) -> None:
    client = MlflowClient(tracking_uri=tracking_uri(finished))
    run = _runs(finished)["kpo-strong_s0"]
    table = pd.read_parquet(client.download_artifacts(run.info.run_id, f"samples/step_{STEPS:04d}.parquet"))
    assert len(table) == PROBLEMS * SAMPLES
    assert table["problem_id"].nunique() == PROBLEMS
    metrics = run.data.metrics
    assert metrics["eval/arithmetic/avg_at_2"] == pytest.approx(table["correct"].mean())
    assert 0.2 < metrics["eval/arithmetic/avg_at_2"] < 0.8
    assert metrics["eval/arithmetic/pass_at_2"] >= metrics["eval/arithmetic/avg_at_2"]
    configuration = Path(client.download_artifacts(run.info.run_id, "config/resolved.yaml")).read_text(encoding="utf-8")
    assert "iskpo.verl.config.KalmanPolicyLossConfig" in configuration


def test_traces_replay_to_what_was_logged(finished: Path) -> None:
    client = MlflowClient(tracking_uri=tracking_uri(finished))
    for trial in recorded_trials(output=finished, only=[]):
        assert trial.traces.complete
        replayed = statistics_of_steps(trial.traces, settings=trial.settings)
        assert sorted(replayed) == list(range(1, STEPS + 1))
        for step, metrics in replayed.items():
            assert {"kalman/tokens", "kalman/clipped_tokens", "kalman/gain_mean", "innovation/max_abs"} <= set(metrics)
            assert metrics == {name: trial.logged[step][name] for name in metrics}
        run = _runs(finished)[trial.key]
        files = client.list_artifacts(run.info.run_id, "traces")
        assert [entry.path for entry in files] == [f"traces/step_{step:04d}.parquet" for step in range(1, STEPS + 1)]
        rewards = {point.step: point.value for point in client.get_metric_history(run.info.run_id, "reward/mean")}
        for entry in files:
            table = pd.read_parquet(client.download_artifacts(run.info.run_id, entry.path))
            # The tiny profile's 12 prompts in 4 updates, 4 samples each.
            assert len(table) == 48
            assert table["reward"].mean() == pytest.approx(rewards[int(table["step"].iloc[0])])
            assert set(table["update"]) == {0, 1, 2, 3}
            assert (table.groupby("problem_id")["sample"].apply(sorted).apply(list) == [[0, 1, 2, 3]] * 12).all()
            # Before the first update the policy is the one that sampled; afterwards it is not.
            z = table["z"].map(lambda values: abs(values).max()).groupby(table["update"]).max()
            assert z[0] < 1e-4 < z[3]


def test_a_replay_of_the_study(finished: Path) -> None:
    program = Path(sys.executable).with_name("iskpo-sweep")
    command = [str(program), "replay", str(finished), "--grid", "10x10"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "reproduced to the last bit (4 complete steps of 2 of 2 trials)" in done.stdout
    table = pd.read_parquet(finished / "replay" / "replay.parquet")
    assert len(table) == 3 * 100
    assert (finished / "replay" / "clip_fraction.png").exists()
    again = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (again.returncode, "--overwrite" in again.stderr) == (2, True)


def test_the_report_is_there(finished: Path) -> None:
    text = " ".join(page.extract_text() for page in PdfReader(finished / "report" / "report.pdf").pages)
    assert "low-gain-clipping" in text
    client = MlflowClient(tracking_uri=tracking_uri(finished))
    parent = _runs(finished)["smoke"].info.run_id
    assert "report/report.pdf" in {entry.path for entry in client.list_artifacts(parent, "report")}


def test_an_output_folder_is_never_used_twice(finished: Path) -> None:
    before = (finished / "mlflow.db").stat().st_mtime_ns
    done = subprocess.run(_command(finished), capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "already holds a study" in done.stderr
    assert (finished / "mlflow.db").stat().st_mtime_ns == before


def _start(folder: Path, mark: str) -> tuple[Path, "subprocess.Popen[str]"]:
    """Start the smoke study as from a terminal: a shell's background jobs, and all they start, ignore Ctrl-C."""
    output = folder / "output"
    process = subprocess.Popen(
        _command(output),
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    return output, process


def _resume(output: Path) -> None:
    """Resume a run that ended in its second trial, and check that nothing is lost, doubled or mixed."""
    before = _runs(output)
    program = Path(sys.executable).with_name("iskpo-sweep")
    mark = uuid.uuid4().hex
    done = subprocess.run(
        [str(program), "resume", str(output)],
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert left_behind(mark) == []
    after = _runs(output)
    assert {name: run.info.run_id for name, run in after.items()} == {
        name: run.info.run_id for name, run in before.items()
    }
    assert {run.info.status for run in after.values()} == {"FINISHED"}
    assert after["kpo-strong_s0"].info.end_time == before["kpo-strong_s0"].info.end_time
    assert after["low-gain-clipping_s0"].data.tags["iskpo.attempts"] == "2"
    client = MlflowClient(tracking_uri=tracking_uri(output))
    for name in ("kpo-strong_s0", "low-gain-clipping_s0"):
        for metric in ("kalman/gain_mean", "reward/mean"):
            history = client.get_metric_history(after[name].info.run_id, metric)
            assert [point.step for point in history] == list(range(1, STEPS + 1))
        assert after[name].data.metrics["eval/arithmetic/problems"] == PROBLEMS
    assert (output / "report" / "report.pdf").exists()


# Ctrl-C in a terminal, and what a supervisor sends; Ray would abort at the second.
@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_everything_and_the_study_can_be_resumed(ending: signal.Signals, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    output, process = _start(tmp_path, mark)
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        # The first trial is over and the second one trains: verl and vLLM are up.
        if "low-gain-clipping_s0: ready" in line:
            break
    assert "low-gain-clipping_s0: ready" in seen, seen[-3000:]
    process.send_signal(ending)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, rest[-3000:]
    assert left_behind(mark) == []
    runs = _runs(output)
    assert {name: run.info.status for name, run in runs.items()} == {
        "smoke": "KILLED",
        "kpo-strong_s0": "FINISHED",
        "low-gain-clipping_s0": "KILLED",
    }
    assert runs["smoke"].data.tags["iskpo.state"] == "interrupted"
    assert runs["kpo-strong_s0"].data.metrics["eval/arithmetic/problems"] == PROBLEMS
    _resume(output)


@pytest.mark.slow
def test_after_kill_9_the_study_can_be_resumed(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    output, process = _start(tmp_path, mark)
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if "low-gain-clipping_s0: step 1/" in line:
            break
    assert "low-gain-clipping_s0: step 1/" in seen, seen[-3000:]
    process.kill()
    process.wait()
    process.stdout.close()
    # Ray's own reaper and the end of the slot's standard input; nobody else is left to do it.
    assert left_behind(mark) == []
    assert {name: run.info.status for name, run in _runs(output).items()} == {
        "smoke": "RUNNING",
        "kpo-strong_s0": "FINISHED",
        "low-gain-clipping_s0": "RUNNING",
    }
    _resume(output)
