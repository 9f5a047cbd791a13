"""A real MLflow server that goes away and comes back, and what it then has."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from sweep.store.delivery import ADDRESS, Delivery, server_address
from sweep.store.study_tracking import StudyTracking
from sweep.store.undelivered import DELIVERED, undelivered

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path, address: str) -> Iterator[Start]:
    """Start the server, on the same store every time."""
    started: list[subprocess.Popen[bytes]] = []
    # No other processes than the one that serves: killing it is the outage.
    code = (
        "import sys; from mlflow.server.handlers import initialize_backend_stores; from mlflow.server import app; "
        "initialize_backend_stores(sys.argv[1], sys.argv[1], sys.argv[3]); app.run(port=int(sys.argv[2]))"
    )

    def run() -> "subprocess.Popen[bytes]":
        server = subprocess.Popen(
            [
                *(sys.executable, "-c", code, f"sqlite:///{tmp_path}/server.db", address.rpartition(":")[2]),
                str(tmp_path / "server"),
            ],
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(server)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert server.poll() is None
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=5):
                    return server
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
        raise AssertionError("MLflow's server did not start")

    yield run
    for server in started:
        server.kill()
        server.wait()


@pytest.fixture(autouse=True)
def _no_load_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points are counted here, and a sample would come whenever a server takes ten seconds to start."""
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "3600")


def _begin(folder: Path) -> StudyTracking:
    tracking = StudyTracking(output=folder, study="s")
    tracking.start_study(name="s", question="why?", params={"steps": 3})
    return tracking


def _step(tracking: StudyTracking, key: str, step: int) -> None:
    tracking.log_metrics(key=key, step=step, metrics={"kalman/gain_mean": step / 8, "reward/mean": 0.5})


def _on_server(client: MlflowClient) -> dict[str, Run]:
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {run.info.run_name: run for run in runs}


def _gains(client: MlflowClient, run: Run) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "kalman/gain_mean")]


def test_what_an_outage_kept_back_is_delivered_in_order_and_once(
    tmp_path: Path, address: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "output"
    output.mkdir()
    # Recorded by hand between deliveries, so that the outage is where the test says; the thread is the same call.
    monkeypatch.delenv(ADDRESS, raising=False)
    tracking = _begin(output)
    tracking.start_trial(key="a_s0", arm="a", seed=0, params={"q": 1e-6})
    _step(tracking, "a_s0", 1)
    server = start()
    delivery = Delivery(output=output, address=address)
    delivery.deliver()
    assert undelivered(output) == 0
    server.kill()
    server.wait()

    # The trial goes on; a second is cut off in its second step and begins again.
    _step(tracking, "a_s0", 2)
    assert address in delivery.finish()
    # What it is delivered with is nobody's but the server's.
    secret = Delivery(output=output, address=address.replace("http://", "http://me:secret@"))
    message = secret.finish()
    assert address in message
    assert "secret" not in message
    tracking.end_trial(key="a_s0", state="finished")
    tracking.start_trial(key="b_s0", arm="b", seed=0, params={"q": 1e-4})
    _step(tracking, "b_s0", 1)
    assert undelivered(output) == 2 + 1 + 2 + 1

    start()
    client = MlflowClient(tracking_uri=address)
    # Another process, as after a kill; its last note was cut off, so it delivers something twice.
    notes = (output / DELIVERED).read_text()
    (output / DELIVERED).write_text(notes[:-20])
    again = Delivery(output=output, address=address)
    again.deliver()
    cut_off = _on_server(client)["b_s0"].info.run_id
    resumed = StudyTracking(output=output, study="s")
    resumed.resume_study()
    resumed.start_trial(key="b_s0", arm="b", seed=0, params={"q": 1e-4})
    for step in (1, 2):
        _step(resumed, "b_s0", step)
    resumed.end_trial(key="b_s0", state="failed", reason="it broke")
    resumed.end_study(state="failed")
    assert again.finish() == ""
    assert undelivered(output) == 0

    runs = _on_server(client)
    assert {name: run.info.status for name, run in runs.items()} == {
        "s": "FAILED",
        "a_s0": "FINISHED",
        "b_s0": "FAILED",
    }
    assert _gains(client, runs["a_s0"]) == [(1, 1 / 8), (2, 2 / 8)] == _gains(client, runs["b_s0"])
    assert runs["b_s0"].data.tags["iskpo.reason"] == "it broke"
    assert runs["b_s0"].data.tags["iskpo.attempts"] == "2"
    assert runs["a_s0"].data.params == {"arm": "a", "seed": "0", "q": "1e-06"}
    assert runs["a_s0"].data.tags["mlflow.parentRunId"] == runs["s"].info.run_id
    assert client.get_run(cut_off).info.lifecycle_stage == "deleted"
    lines = [json.loads(line) for line in (output / DELIVERED).read_text().splitlines() if line.endswith("}")]
    assert {line["run"] for line in lines} == {run.data.tags["iskpo.source_run"] for run in runs.values()}


def test_a_study_goes_on_without_its_server(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ADDRESS, address)
    tracking = _begin(tmp_path)
    tracking.start_trial(key="a_s0", arm="a", seed=0, params={})
    _step(tracking, "a_s0", 1)
    tracking.end_study(state="finished")
    # The study's run and the trial's, and the two points.
    assert undelivered(tmp_path) == 4
    assert f"{address} does not have everything (4 undelivered" in capsys.readouterr().err


def test_only_a_servers_address_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ADDRESS, "sqlite:///somewhere.db")
    assert server_address() is None
    monkeypatch.delenv(ADDRESS)
    assert server_address() is None
    assert undelivered(tmp_path) == 0
