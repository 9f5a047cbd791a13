"""MLflow's pages for one study's output folder, on the loopback interface only."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sweep.artifact_addresses import follow_move
from sweep.errors import UserError

# The first bytes of every SQLite database.
_SQLITE = b"SQLite format 3\0"
_MOST_NAMED = 3


def store_uri(output: Path) -> str:
    """Address of the study's MLflow store."""
    return f"sqlite:///{(output / 'mlflow.db').absolute()}"


def require_study(output: Path) -> None:
    """Raise unless a folder holds a study; one that was moved is brought up to date.

    Raises:
        UserError: It does not.
    """
    if not (output / "mlflow.db").is_file():
        what = "holds no study (no mlflow.db)" if output.is_dir() else "is not a folder"
        raise UserError(f"{output} {what}; give the --output of a run{runs_here()}")
    if not is_database(output / "mlflow.db"):
        raise UserError(
            f"{output / 'mlflow.db'} is no database that can be read: the study ended before it began, "
            "or the file is damaged; run the study again with another --output"
        )
    follow_move(output)


def runs_here() -> str:
    """The newest runs in the usual place, for somebody who has forgotten what a folder was called."""
    found = sorted(Path("output").glob("*/mlflow.db"), key=lambda path: path.stat().st_mtime, reverse=True)
    return f", such as {', '.join(str(path.parent) for path in found[:_MOST_NAMED])}" if found else ""


def is_database(path: Path) -> bool:
    """Whether a file is a SQLite database with something in it."""
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


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
