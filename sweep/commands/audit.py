"""``iskpo-sweep audit``: reported numbers, recomputed."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.arguments import sign_of_life
from sweep.input.errors import UserError


def audit(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Reported numbers, such as studies/paper/reported.yaml.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; null where nothing can be recomputed.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there instead: .pdf, .csv, .md or .json.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file if it exists.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Explain the claims that agree, too.")] = False,
) -> None:
    """Recompute what can be recomputed of the numbers that a paper or table reports, and say what differs."""
    from reports.audit.audit_file import check_output, write_audit

    if as_json and output is not None:
        raise UserError("--json prints; with --output, end the file's name in .json")
    if output is not None:
        check_output(path=output, overwrite=overwrite)

    sign_of_life(f"recomputing {file}")

    from reports.audit import audit as check_claims
    from reports.audit import load_reported
    from reports.audit.audit_file import as_json as rows_as_json
    from reports.audit.terminal import show_audit, summary

    reported = load_reported(file)
    rows = check_claims(reported=reported)
    if output is not None:
        write_audit(reported=reported, rows=rows, path=output)
        typer.echo(f"{summary(rows=rows)}. Written to {output}")
    elif as_json:
        typer.echo(rows_as_json(reported=reported, rows=rows))
    else:
        show_audit(reported=reported, rows=rows, everything=everything)
