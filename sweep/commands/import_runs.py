"""``iskpo-sweep import``: runs that verl made without us, as a study to report on."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.arguments import sign_of_life


def import_runs(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="MLflow's SQLite file, or its address, such as http://HOST:PORT.")
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the study.")],
    experiment: Annotated[
        str | None, typer.Option(metavar="NAME", help="The experiment. [default: the only one with runs]")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The study's name. [default: the folder's]")] = None,
) -> None:
    """Take runs that verl made with our loss and its own MLflow logger into a folder that `report` and `ui` read.

    The loss's own metrics say which arm each run was. Accuracies need samples, which such runs do not keep: the report
    says what is missing.
    """
    from sweep.input.addresses import without_credentials
    from sweep.input.errors import UserError, in_shell
    from sweep.profiles.preflight import check_output_is_free
    from sweep.store.imported_runs import find_runs, foreign_store, record
    from sweep.study.study_fields import study_name

    check_output_is_free(output)
    if name is not None and name != study_name(name):
        raise UserError(f"--name {name!r}: letters, digits and . _ - alone, 60 at most, such as {study_name(name)}")
    sign_of_life(f"reading {without_credentials(store)}")
    with foreign_store(store) as client:
        found = find_runs(client=client, experiment=experiment)
        for run, why in found.skipped.items():
            typer.echo(f"left out {run}: {why}", err=True)
        existed = output.is_dir()
        output.mkdir(parents=True, exist_ok=True)
        try:
            record(client=client, found=found, name=name or study_name(output.resolve().name), output=output)
        except BaseException as error:
            shutil.rmtree(output)
            if existed:
                output.mkdir()
            if isinstance(error, ValueError):
                raise UserError(str(error)) from None
            raise
    typer.echo(f"{len(found.trials)} runs imported. Report: iskpo-sweep report {in_shell(output)}")
