"""Nothing is sent anywhere unless the user asks for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sweep
from sweep.input.environment import QUIET, TEXT

GUARD = Path(__file__).parents[2] / "refused_network"
PROJECT = Path(sweep.__file__).parents[1]


def run(code: str, contacts: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run code in a process that no other machine answers, and that notes in a file whom it asked."""
    # MLflow takes a machine with CI in its environment for one that must not be counted.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    path = os.pathsep.join([str(GUARD), str(PROJECT)])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": path, "ISKPO_TEST_CONTACTS": str(contacts), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_whoever_asks_for_another_machine_is_noted(tmp_path: Path) -> None:
    done = run("import socket; socket.create_connection(('192.0.2.1', 80))", tmp_path / "contacts")
    assert done.returncode != 0
    assert (tmp_path / "contacts").read_text() == "192.0.2.1\n"


def test_every_process_that_imports_sweep_is_quiet_and_writes_utf_8(tmp_path: Path) -> None:
    expected = QUIET | TEXT
    code = f"import os, sweep; print([os.environ[name] for name in {list(expected)}])"
    assert run(code, tmp_path / "contacts").stdout.strip() == str(list(expected.values()))


def test_what_the_user_has_set_stays(tmp_path: Path) -> None:
    code = "import os, sweep; print(os.environ['RAY_USAGE_STATS_ENABLED'])"
    assert run(code, tmp_path / "contacts", RAY_USAGE_STATS_ENABLED="1").stdout == "1\n"


@pytest.mark.parametrize("quiet", [True, False])
def test_mlflows_client_sends_nothing(tmp_path: Path, quiet: bool) -> None:
    # MLflow sends at its process's end; without the variables it does, which shows that the test would notice.
    code = "import sweep\n" if quiet else ""
    code += f"""
import mlflow
mlflow.set_tracking_uri("sqlite:///{tmp_path}/mlflow.db")
mlflow.create_experiment("one")
with mlflow.start_run():
    mlflow.log_metric("a", 1.0)
"""
    done = run(code, tmp_path / "contacts")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "contacts").exists() is not quiet
