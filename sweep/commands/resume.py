"""``iskpo-sweep resume``: what is left of a study, and its report."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.arguments import JsonLines, OutputFolder, Quiet, RayAddress, UiPort
from sweep.commands.run_and_report import ends_in_json, run_and_report, trials_in_words


@ends_in_json
def resume(
    output: OutputFolder,
    study_file: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="A changed study file. [default: OUTPUT/study.yaml]")
    ] = None,
    extend: Annotated[
        bool, typer.Option("--extend", help="Accept a study file that has more arms or seeds than the run's.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed trials again as well.")] = False,
    ui_port: UiPort = None,
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    as_json: JsonLines = False,
) -> None:
    """Go on with a study that was interrupted, killed or stopped: what has finished stays, the rest is run.

    A trial that was cut off goes on in the same MLflow run, from its last checkpoint where it has one.
    """
    from sweep.commands.cost_estimate import checkpoints_gb
    from sweep.profiles.preflight import check_before_start
    from sweep.profiles.profile import resolve_profile
    from sweep.store.imported_runs import refuse_imported
    from sweep.store.resumption import kept_profile, study_to_resume
    from sweep.store.study_folder import refuse_if_owned
    from sweep.store.study_store import require_study

    require_study(output)
    refuse_imported(output)
    refuse_if_owned(output)
    study = study_to_resume(output=output, study_file=study_file, extend=extend, retry_failed=retry_failed)
    trains = not study.trial.is_replay
    chosen = resolve_profile(kept_profile(output), trains=trains)
    ray_address = ray_address or study.ray.address
    check_before_start(
        profile=chosen,
        output=output,
        ui_port=ui_port,
        ray_address=ray_address,
        resume=True,
        trains=trains,
        checkpoints_gb=checkpoints_gb(study, chosen),
    )
    quiet = quiet or as_json
    if not quiet:
        typer.echo(f"Study {study.name}, resumed: {trials_in_words(study)}. Output: {output}")
    run_and_report(
        study=study,
        profile=chosen,
        output=output,
        ui_port=ui_port,
        ray_address=ray_address,
        quiet=quiet,
        as_json=as_json,
        resume=True,
        retry_failed=retry_failed,
    )
