"""``iskpo-sweep report``: the report of a run, written anew."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sweep.commands.arguments import OutputFolder, sign_of_life


def report(
    output: OutputFolder,
    margin: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=50.0,
            help="Percentage points of accuracy that do not matter (equivalence tests). "
            "[default: what the study registered, or 1]",
        ),
    ] = None,
    format: Annotated[
        Literal["pdf", "html"], typer.Option(help="A PDF, or one page of HTML with the same content.")
    ] = "pdf",
    full: Annotated[
        bool, typer.Option("--full", help="A PDF with the appendix: further statistics, study file, glossary.")
    ] = False,
) -> None:
    """Write the report of a run anew from what MLflow recorded."""
    from sweep.store.study_store import require_study

    require_study(output)
    sign_of_life(f"reading {output} and typesetting its report")
    typer.echo(report_text(output, margin=None if margin is None else margin / 100, format=format, full=full))


def report_text(
    output: Path, *, margin: float | None = None, format: Literal["pdf", "html"] = "pdf", full: bool = False
) -> str:
    """The PDF; a table of all trials where Optuna chose the arms, and nothing else where nothing was trained."""
    from sweep.store.exports import objectives_of, write_arm_table
    from sweep.store.recorded_traces import KEPT_TRACES

    replayed = (output / KEPT_TRACES).exists()
    table = [str(write_arm_table(output))] if replayed or objectives_of(output) else []
    if replayed:
        return table[0]
    from reports import write_report

    return "\n".join([*table, str(write_report(output=output, margin=margin, format=format, full=full))])
