"""A study that runs while MLflow's server is stopped, is itself killed and resumed, and then has the server back."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from sweep.store.delivery import ADDRESS, Delivery
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.undelivered import count_unsent, undelivered
from tests.sweep.recorded_study import record_study
from tests.sweep.running_study import wait_for_trials

TRIALS = 40
STUDY = f"""\
name: replayed
profile: tiny
trial: {{kind: replay, traces: earlier}}
space:
  kind: optuna
  sampler: random
  trials: {TRIALS}
  objective: [clip_fraction, realised_gain]
  parameters:
    gain: {{low: 1.0e-4, high: 0.3, log: true}}
    threshold: {{low: 0.01, high: 1, log: true}}
    kappa: 3
"""
_NOT_OURS = ("CUDA_VISIBLE_DEVICES", "RAY_ADDRESS")
Server = "subprocess.Popen[bytes]"


@pytest.fixture
def serve(tmp_path: Path, address: str) -> Iterator[Callable[[], Server]]:
    """Start `mlflow server` on the same store every time; it takes files over the network."""
    started: list[Server] = []
    options = {
        "--backend-store-uri": f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination": tmp_path / "server_files",
        "--host": "127.0.0.1",
        "--port": address.rpartition(":")[2],
        "--workers": 1,
    }

    def start() -> Server:
        command = [sys.executable, "-m", "mlflow", "server", *(str(part) for pair in options.items() for part in pair)]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        server = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        started.append(server)
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            assert server.poll() is None
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
                return server
            time.sleep(0.2)
        raise AssertionError("MLflow's server did not start")

    yield start
    for server in started:
        _kill(server)


def _kill(server: Server) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _on_server(client: MlflowClient) -> dict[str, Run]:
    experiment = client.get_experiment_by_name("replayed")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {str(run.info.run_name): run for run in runs}


@pytest.mark.slow
def test_a_server_that_is_stopped_and_a_command_that_is_killed(
    tmp_path: Path, address: str, serve: Callable[[], Server]
) -> None:
    record_study(tmp_path / "earlier")
    study, output = tmp_path / "study.yaml", tmp_path / "output"
    study.write_text(STUDY)
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    environment[ADDRESS] = address

    def command(*arguments: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "sweep.cli", *map(str, arguments), "--quiet"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    server = serve()
    client = MlflowClient(tracking_uri=address)
    process = command("run", study, "--output", output)
    wait_for_trials(output, trials=10, process=process)
    _kill(server)
    wait_for_trials(output, trials=25, process=process)
    process.kill()
    process.wait()
    assert undelivered(output) > 0
    process = command("resume", output)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said[-3000:]
    assert f"{address} does not have everything" in said
    assert f"`iskpo-sweep resume {output}` delivers it" in said
    assert undelivered(output) > 0
    serve()
    process = command("resume", output)
    _, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, "")
    assert undelivered(output) == 0
    assert count_unsent(output) == (0, "")

    runs = _on_server(client)
    assert len(runs) == TRIALS + 1
    own = {run.trial: run.run_id for run in recorded_runs(output)}
    stores = (output / "mlflow.db", tmp_path / "server.db")
    with closing(sqlite3.connect(stores[0])) as store, closing(sqlite3.connect(stores[1])) as there:
        query = "SELECT key, value, timestamp, step FROM metrics WHERE run_uuid = ? ORDER BY rowid"
        for trial, run in own.items():
            remote = runs[trial].info
            assert remote.status == "FINISHED"
            points = store.execute(query, (run,)).fetchall()
            assert there.execute(query, (remote.run_id,)).fetchall() == points != []
    assert runs["replayed"].data.tags["iskpo.state"] == "finished"
    files = {entry.path for entry in client.list_artifacts(runs["replayed"].info.run_id, "study")}
    assert files == {"study/study.yaml", "study/plan.json"}
    path = client.download_artifacts(runs["replayed"].info.run_id, "study/plan.json", str(tmp_path))
    assert json.loads(Path(path).read_text(encoding="utf-8")) == json.loads((output / "plan.json").read_text())

    # A file that changes is sent again, and one that has not is not.
    folder = next((output / "artifacts").iterdir()) / "artifacts" / "study"
    (folder / "plan.json").write_text("{}")
    assert count_unsent(output) == (1, "")
    before = (output / "delivered_files.jsonl").read_text()
    Delivery(output=output, address=address).deliver()
    assert (output / "delivered_files.jsonl").read_text().removeprefix(before).count("path") == 1
    path = client.download_artifacts(runs["replayed"].info.run_id, "study/plan.json", str(tmp_path))
    assert Path(path).read_text(encoding="utf-8") == "{}"
