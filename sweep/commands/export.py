"""``iskpo-sweep export``: a study's tables for other tools."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.arguments import OutputFolder, sign_of_life

_FORMATS = ("csv", "parquet", "optuna")


def export(
    output: OutputFolder,
    format: Annotated[
        str,
        typer.Option(
            "--format", metavar="|".join(_FORMATS), help="What to write.", autocompletion=lambda: list(_FORMATS)
        ),
    ] = "parquet",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="New folder. [default: OUTPUT/export/FORMAT]")
    ] = None,
) -> None:
    """Write a run's trials, steps, samples and log ratios as tables, or its trials as an Optuna storage."""
    from sweep.input.errors import UserError, did_you_mean

    if format not in _FORMATS:
        raise UserError(f"unknown format {format!r}{did_you_mean(format, list(_FORMATS))}")

    sign_of_life(f"reading {output}")

    from sweep.store.exports import export as write
    from sweep.store.recorded_study import load

    for path in write(study=load(output), format=format, folder=to or output / "export" / format):
        typer.echo(path)
