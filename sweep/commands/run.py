"""``iskpo-sweep run``: a study from its file to its report."""

import datetime
import shutil
from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.arguments import JsonLines, ProfileName, Quiet, RayAddress, StudyFile, UiPort, study_and_profile
from sweep.commands.run_and_report import ends_in_json, run_and_report, trials_in_words
from sweep.input.errors import EXIT_WRONG_INPUT, UserError


@ends_in_json
def run(
    study_file: StudyFile,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to fill. [default: output/STUDY-DATE-TIME]")
    ] = None,
    profile: ProfileName = None,
    reuse: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Take over trials that the study in this folder has trained."),
    ] = None,
    ui_port: UiPort = None,
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    as_json: JsonLines = False,
) -> None:
    """Run every trial of a study, record it in MLflow and write the PDF report."""
    from sweep.commands.cost_estimate import checkpoints_gb
    from sweep.profiles.preflight import check_before_start
    from sweep.profiles.profile import describe_choice
    from sweep.store.resumption import keep_own_files
    from sweep.store.study_folder import STUDY_FILE

    study, chosen = study_and_profile(study_file, profile)
    quiet = quiet or as_json
    if not quiet and not study.trial.is_replay:
        typer.echo(describe_choice(requested=profile or study.profile, profile=chosen))
    output = output or Path("output") / f"{study.name}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    ray_address = ray_address or study.ray.address
    trains = not study.trial.is_replay
    check_before_start(
        profile=chosen,
        output=output,
        ui_port=ui_port,
        ray_address=ray_address,
        trains=trains,
        checkpoints_gb=checkpoints_gb(study, chosen),
    )
    if not quiet:
        typer.echo(f"Study {study.name}: {trials_in_words(study)}. Output: {output}")
    existed = output.is_dir()
    output.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(study_file, output / STUDY_FILE)
    keep_own_files(study_file=study_file, study=study, output=output)
    try:
        run_and_report(
            study=study,
            profile=chosen,
            requested_profile=profile,
            output=output,
            ui_port=ui_port,
            ray_address=ray_address,
            quiet=quiet,
            as_json=as_json,
            study_folder=study_file.parent,
            reuse=reuse,
        )
    except UserError as error:
        # Nothing of a study that could not start is left behind; the folder was empty a moment ago.
        if error.exit_code == EXIT_WRONG_INPUT and not (output / "trials").exists():
            shutil.rmtree(output)
            if existed:
                output.mkdir()
        raise
