"""Looks at a study that runs in another process."""

import contextlib
import os
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from sweep.store.mlflow_tables import recorded_runs

MARK = "ISKPO_TEST_RUN"
"""An environment variable that whatever a run starts inherits, however far down."""


def wait_for_trials(output: Path, *, trials: int, process: "subprocess.Popen[Any]") -> None:
    """Return as soon as so many trials have runs."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(sqlite3.OperationalError):  # the tables are still being made
            if len(recorded_runs(output)) >= trials:
                return
        time.sleep(0.02)
    pytest.fail(f"{trials} trials were not reached")


def marked(mark: str) -> list[psutil.Process]:
    """Processes that inherited the mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def refusing_network(contacts: Path) -> dict[str, str]:
    """An environment in which Python processes are refused other machines, and note in a file whom they asked."""
    guard = str(Path(__file__).parents[1] / "refused_network")
    path = os.pathsep.join([guard, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "ISKPO_TEST_CONTACTS": str(contacts)}


def listeners(mark: str) -> set[tuple[str, str]]:
    """Address and process of every socket on which the marked processes listen now."""
    found = set()
    for process in marked(mark):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            connections = process.net_connections("tcp")
            found |= {(one.laddr.ip, process.name()) for one in connections if one.status == psutil.CONN_LISTEN}
    return found


def left_behind(mark: str, *, patience: float = 30) -> list[str]:
    """Command lines of what still runs so many seconds after a run's end."""
    deadline = time.monotonic() + patience
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.5)
    names = []
    for process in marked(mark):
        with contextlib.suppress(psutil.NoSuchProcess):
            names.append(" ".join(process.cmdline()[:4]))
    return names


def orphaned_files() -> set[str]:
    """Files in /dev/shm that no process has open, and sockets in /tmp at which nobody listens."""
    held, listening = set(), set()
    for link in Path("/proc").glob("[0-9]*/map_files/*"):
        with contextlib.suppress(OSError):
            held.add(os.readlink(link))
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            held.add(os.readlink(link))
    for line in Path("/proc/net/unix").read_text(encoding="utf-8").splitlines():
        listening.add(line.split()[-1])
    shared = {str(path) for path in Path("/dev/shm").glob("*")} - held
    with contextlib.suppress(OSError):
        return shared | {str(path) for path in Path("/tmp").glob("*") if path.is_socket()} - listening
    return shared
