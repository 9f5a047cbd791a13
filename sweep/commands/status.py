"""``iskpo-sweep status``: how far a study is."""

import json
from typing import Annotated

import typer

from sweep.commands.arguments import OutputFolder


def status(
    output: OutputFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; null stands for what is not known.")] = False,
    watch: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.1, help="Show again so often, until the study ends or Ctrl-C."),
    ] = None,
) -> None:
    """Show how far a study is: every trial with its state, step and last numbers."""
    from sweep.commands.status_view import show_status, status_as_json
    from sweep.store.study_store import require_study

    require_study(output)
    if as_json:
        typer.echo(json.dumps(status_as_json(output), indent=2, allow_nan=False))
    else:
        show_status(output, every=watch)
