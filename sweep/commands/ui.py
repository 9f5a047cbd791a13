"""``iskpo-sweep ui``: MLflow's pages of a run."""

from typing import Annotated

import typer

from sweep.commands.arguments import OutputFolder
from sweep.input.errors import UserError


def ui(
    output: OutputFolder,
    port: Annotated[int, typer.Option(metavar="N", help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Serve MLflow's pages for a run on this machine until Ctrl-C."""
    from sweep.commands.mlflow_ui import serve
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
