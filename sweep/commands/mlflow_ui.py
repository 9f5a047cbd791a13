"""MLflow's pages for one study's output folder, on the loopback interface only."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sweep.store.study_store import store_uri


def serve(*, output: Path, port: int) -> int:
    """Serve until interrupted or ended by a plain kill; returns the server's exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A group of its own: the server starts workers, which a kill of this process alone would leave behind.
    server = subprocess.Popen(_command(output=output, port=port), env=_environment(), start_new_session=True)
    try:
        return server.wait()
    finally:
        _end(server)


@contextlib.contextmanager
def serving(*, output: Path, port: int | None) -> Iterator[None]:
    """Serve while a study runs; without a port, do nothing."""
    if port is None:
        yield
        return
    with (output / "ui.log").open("w") as log:
        # A group of its own: Ctrl-C ends the study first and the pages last.
        server = subprocess.Popen(
            _command(output=output, port=port),
            env=_environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            _end(server)


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End the server and the workers it started."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=10)
            return


def _environment() -> dict[str, str]:
    # MLflow's job runners are seven more processes that nothing here needs, and its telemetry leaves the machine.
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _command(*, output: Path, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", store_uri(output), "--workers", "1"),
    ]
