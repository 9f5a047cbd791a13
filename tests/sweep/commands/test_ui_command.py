"""MLflow's pages over a real store, as `iskpo-sweep ui` and `run --ui-port` serve them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from sweep.commands.ui import serving
from sweep.profiles.preflight import check_port_is_free
from sweep.store.study_folder import tracking_uri

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that holds one experiment."""
    folder = tmp_path_factory.mktemp("study")
    client = MlflowClient(tracking_uri=tracking_uri(folder))
    client.create_experiment("kept", artifact_location=str(folder / "artifacts"))
    return folder


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_ui_serves_the_study_and_ends_with_ctrl_c(study, port):
    command = [sys.executable, "-m", "sweep.cli", "ui", str(study), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as ui:
        try:
            assert "kept" in _experiments(port, alive=lambda: ui.poll() is None)
        finally:
            os.killpg(ui.pid, signal.SIGINT)
        assert ui.wait(timeout=60) == 130
    check_port_is_free(port)


def test_pages_are_served_while_a_study_runs_and_end_with_it(study, port):
    with serving(output=study, port=port):
        assert "kept" in _experiments(port, alive=lambda: True)
    check_port_is_free(port)


def test_without_a_port_nothing_is_served(study):
    before = sorted(study.iterdir())
    with serving(output=study, port=None):
        assert sorted(study.iterdir()) == before


def _experiments(port: int, *, alive: Callable[[], bool]) -> set[str]:
    """Names of the served experiments, once the server answers."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search",
        data=b'{"max_results": 10}',
        headers={"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert alive()
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return {experiment["name"] for experiment in json.load(answer)["experiments"]}
        except OSError:
            time.sleep(0.5)
    pytest.fail("MLflow's pages did not come up in two minutes")
