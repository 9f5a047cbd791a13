"""``iskpo-sweep ui``: MLflow's pages of a run, on the loopback interface only."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.arguments import OutputFolder
from sweep.input.errors import UserError


def ui(
    output: OutputFolder,
    port: Annotated[int, typer.Option(metavar="N", help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Serve MLflow's pages for a run on this machine until Ctrl-C."""
    from sweep.profiles.preflight import check_port_is_free
    from sweep.store.study_store import require_study

    require_study(output)
    check_port_is_free(port)
    typer.echo(f"MLflow on http://127.0.0.1:{port} in some seconds - Ctrl-C ends it")

    from sweep.store.mlflow_view import prepare_view

    if pages := prepare_view(output):
        for name, page in vars(pages).items():
            typer.echo(f"  {name:<8}http://127.0.0.1:{port}/{page}")
    if (code := serve(output=output, port=port)) != 0:
        raise UserError(f"MLflow ended with exit code {code}")


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
    with (output / "ui.log").open("w", encoding="utf-8") as log:
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
    from sweep.store.study_folder import tracking_uri

    return [
        *(sys.executable, "-P", "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", tracking_uri(output), "--workers", "1"),
    ]
