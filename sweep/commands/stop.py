"""``iskpo-sweep stop``: the end of a running study."""

from typing import Annotated

import typer

from sweep.commands.arguments import OutputFolder


def stop(
    output: OutputFolder,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the trials that run; they are lost.")] = False,
) -> None:
    """End a running study: no further trial starts, and those that run finish first."""
    from sweep.store.study_folder import ask_to_stop, end_now
    from sweep.store.study_store import require_study

    require_study(output)
    typer.echo(end_now(output) if now else ask_to_stop(output))
