"""``iskpo-sweep schema``: the JSON schema of study files, for editors."""

from pathlib import Path
from typing import Annotated

import typer


def schema(
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there, and say how an editor finds it.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Print the JSON schema of study files, with which editors complete keys and underline mistakes."""
    import json

    from sweep.input.errors import UserError
    from sweep.study.schema_export import editor_line, study_schema

    text = json.dumps(study_schema(), indent=1)
    if output is None:
        typer.echo(text)
        return
    if output.exists() and not overwrite:
        raise UserError(f"{output} exists; --overwrite replaces it")
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}") from None
    typer.echo(f"{output} written. First line of a study file that is to use it:\n{editor_line(output.absolute())}")
