"""``iskpo-sweep replay``: a run's log ratios under other filters."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.arguments import OutputFolder, complete_trial, sign_of_life
from sweep.input.errors import UserError


def replay(
    output: OutputFolder,
    grid: Annotated[
        str, typer.Option(metavar="GxT", help="Steady-state gains times thresholds, spaced evenly in logarithms.")
    ] = "100x100",
    gain: Annotated[
        str | None, typer.Option(metavar="LOW:HIGH", help="Range of gains. [default: holds the study's]")
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(metavar="LOW:HIGH", help="Range of thresholds, in log-ratio units. [default: holds the data's]"),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Replay these instead of a grid: columns q, v, kappa, p0, rho0.")
    ] = None,
    trial: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="This trial alone; may be repeated.", autocompletion=complete_trial),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier replay.")] = False,
) -> None:
    """Filter the log ratios that a run recorded again, under settings that no trial ran with."""
    from sweep.commands.replay_options import grid_request, read_settings
    from sweep.store.study_store import require_study

    if settings is not None and (gain or threshold):
        raise UserError("--settings lists the filters itself: leave out --gain and --threshold")
    request = read_settings(settings) if settings else grid_request(grid=grid, gain=gain, threshold=threshold)
    require_study(output)
    sign_of_life(f"reading the log ratios in {output}")

    from rich.console import Console

    from sweep.commands.replay_study import prepare_folder, publish, replay_study

    folder = prepare_folder(output, overwrite=overwrite)
    try:
        pooled = replay_study(output=output, folder=folder, request=request, only=trial or [], console=Console())
        if settings is None:
            from reports.figures.replay_map import save_replay_map

            save_replay_map(output=output, pooled=pooled, folder=folder)
        typer.echo(publish(folder, output=output))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
