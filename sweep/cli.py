"""The command line. Everything heavy is imported inside the command that needs it, so that ``--help`` is immediate."""

import datetime
import json
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from sweep.commands.arguments import OutputFolder, ProfileName, StudyFile, complete_trial
from sweep.commands.export import export
from sweep.commands.import_runs import import_runs
from sweep.commands.init import init
from sweep.commands.json_lines import ends_in_json
from sweep.commands.logs import logs
from sweep.commands.schema import schema
from sweep.commands.sign_of_life import sign_of_life
from sweep.commands.teaching import ENVIRONMENT, teaching
from sweep.data_cli import data
from sweep.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_TRIAL_FAILED, EXIT_WRONG_INPUT, StudyFailed, UserError

if TYPE_CHECKING:
    from sweep.plan import TrialPlan
    from sweep.profiles import Profile
    from sweep.study import Study


class _Commands(TyperGroup):
    """Ends every command with one message and the exit code of `sweep.errors`."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Which (Q, V, kappa) to train Kalman-filtered policy optimization with, and whether the difference is real.",
    epilog=teaching(
        "init study.yaml                # write a study file",
        "plan study.yaml                # what would be run",
        "run study.yaml                 # run it; ends with a PDF",
        "status output/study-20260101-120000",
        codes=(EXIT_OK, EXIT_TRIAL_FAILED, EXIT_WRONG_INPUT, EXIT_INTERRUPTED),
        environment=tuple(ENVIRONMENT),
    ),
)

_RUNS = (EXIT_OK, EXIT_TRIAL_FAILED, EXIT_WRONG_INPUT, EXIT_INTERRUPTED)

# Failed trials in the last line of a study; all of them are in its status.
_MOST_NAMED = 20
UiPort = Annotated[
    int | None, typer.Option(metavar="N", help="Serve MLflow's pages on 127.0.0.1:N while the study runs.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        "--ray-address",
        metavar="ADDRESS",
        envvar="RAY_ADDRESS",
        help="Use this Ray cluster: host:port, or auto. [default: ray.address in the study]",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but the report's path.")]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per event, for programs (docs/events.md).")
]


@app.command(
    epilog=teaching(
        "run studies/smoke.yaml",
        "run study.yaml --output runs/first --ui-port 5000",
        "run study.yaml --quiet",
        "run study.yaml --json | jq 'select(.event == \"trial_ended\")'",
        codes=_RUNS,
        environment=("ISKPO_CACHE", "RAY_ADDRESS", "TMPDIR", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE"),
    )
)
@ends_in_json
def run(
    study_file: StudyFile,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to fill. [default: output/STUDY-DATE-TIME]")
    ] = None,
    profile: ProfileName = None,
    ui_port: UiPort = None,
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    as_json: JsonLines = False,
) -> None:
    """Run every trial of a study, record it in MLflow and write the PDF report."""
    from sweep.plan import listed_trials
    from sweep.preflight import check_before_start
    from sweep.profiles import describe_choice
    from sweep.resumption import keep_own_files
    from sweep.study_folder import STUDY_FILE

    study, chosen = _load(study_file, profile)
    quiet = quiet or as_json
    if not quiet and not study.trial.is_replay:
        typer.echo(describe_choice(requested=profile or study.profile, profile=chosen))
    plan = listed_trials(study)
    output = output or Path("output") / f"{study.name}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    ray_address = ray_address or study.ray.address
    check_before_start(profile=chosen, output=output, ui_port=ui_port, ray_address=ray_address)
    if not quiet:
        typer.echo(f"Study {study.name}: {_trials_in_words(study)}. Output: {output}")
    existed = output.is_dir()
    output.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(study_file, output / STUDY_FILE)
    keep_own_files(study_file=study_file, study=study, output=output)
    try:
        _run(
            study=study,
            plan=plan,
            profile=chosen,
            requested_profile=profile,
            output=output,
            ui_port=ui_port,
            ray_address=ray_address,
            quiet=quiet,
            as_json=as_json,
            study_folder=study_file.parent,
        )
    except UserError as error:
        # Nothing of a study that could not start is left behind; the folder was empty a moment ago.
        if error.exit_code == EXIT_WRONG_INPUT and not (output / "trials").exists():
            shutil.rmtree(output)
            if existed:
                output.mkdir()
        raise


def _trials_in_words(study: "Study") -> str:
    from sweep.plan import number_of_trials

    what = "replayed, not trained" if study.trial.is_replay else f"of {study.steps} steps"
    return f"{number_of_trials(study)} trials {what}"


def _run(
    *,
    study: "Study",
    plan: "list[TrialPlan]",
    profile: "Profile",
    output: Path,
    ui_port: int | None,
    quiet: bool,
    as_json: bool,
    resume: bool = False,
    **arguments: Any,
) -> None:
    """Run what is left of a study, write its report, and say how it ended."""
    from sweep.commands.json_lines import begin
    from sweep.engine import run_study
    from sweep.mlflow_ui import serving
    from sweep.plan import number_of_trials

    # A plain kill ends a study as Ctrl-C does: everything it started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    go_on = f"Finished trials are recorded. Go on: iskpo-sweep resume {output}; report: iskpo-sweep report {output}"
    events = begin(study=study, profile=profile, output=output, resumed=resume) if as_json else None
    try:
        with serving(output=output, port=ui_port):
            result = run_study(
                study=study,
                plan=plan,
                profile=profile,
                output=output,
                quiet=quiet,
                events=events,
                resume=resume,
                **arguments,
            )
    except KeyboardInterrupt:
        if events:
            events.study_ended(state="interrupted", exit_code=EXIT_INTERRUPTED)
        typer.echo(go_on, err=True)
        raise
    if result.finished or not result.stopped:
        written = _write_report(output)
        if events:
            events.say("report", paths=written.splitlines())
        else:
            typer.echo(written)
    if events:
        code = EXIT_INTERRUPTED if result.stopped else EXIT_TRIAL_FAILED if result.failed else EXIT_OK
        state = "stopped" if result.stopped else "failed" if result.failed else "finished"
        events.study_ended(state=state, exit_code=code, budget_spent=result.spent)
    if not quiet:
        typer.echo(f"Browse the runs: iskpo-sweep ui {output}")
    if result.stopped:
        typer.echo(go_on, err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    if result.spent:
        typer.echo(
            f"The budget is spent: {result.spent}. What has not begun is left out; "
            f"go on with a larger one: iskpo-sweep resume {output} STUDY --extend",
            err=quiet,
        )
    if result.failed:
        named = ", ".join(result.failed[:_MOST_NAMED]) + (", ..." if len(result.failed) > _MOST_NAMED else "")
        raise StudyFailed(f"{len(result.failed)} of {number_of_trials(study)} trials failed: {named}")


@app.command(
    epilog=teaching(
        "resume output/smoke",
        "resume output/smoke --retry-failed",
        "resume output/smoke larger.yaml --extend",
        codes=_RUNS,
        environment=("ISKPO_CACHE", "RAY_ADDRESS", "TMPDIR"),
    )
)
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

    A trial that was cut off begins again at its first step, in the same MLflow run.
    """
    from sweep.imported_runs import refuse_imported
    from sweep.mlflow_ui import require_study
    from sweep.plan import listed_trials
    from sweep.preflight import check_before_start
    from sweep.profiles import resolve_profile
    from sweep.resumption import kept_profile, study_to_resume
    from sweep.study_folder import refuse_if_owned

    require_study(output)
    refuse_imported(output)
    refuse_if_owned(output)
    study = study_to_resume(output=output, study_file=study_file, extend=extend, retry_failed=retry_failed)
    chosen = resolve_profile(kept_profile(output))
    plan = listed_trials(study)
    ray_address = ray_address or study.ray.address
    check_before_start(profile=chosen, output=output, ui_port=ui_port, ray_address=ray_address, resume=True)
    quiet = quiet or as_json
    if not quiet:
        typer.echo(f"Study {study.name}, resumed: {_trials_in_words(study)}. Output: {output}")
    _run(
        study=study,
        plan=plan,
        profile=chosen,
        output=output,
        ui_port=ui_port,
        ray_address=ray_address,
        quiet=quiet,
        as_json=as_json,
        resume=True,
        retry_failed=retry_failed,
    )


@app.command(
    epilog=teaching(
        "status output/smoke",
        "status output/smoke --watch 5",
        "status output/smoke --json",
    )
)
def status(
    output: OutputFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; null stands for what is not known.")] = False,
    watch: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.1, help="Show again so often, until the study ends or Ctrl-C."),
    ] = None,
) -> None:
    """Show how far a study is: every trial with its state, step and last numbers."""
    from sweep.mlflow_ui import require_study
    from sweep.status_view import show_status, status_as_json

    require_study(output)
    if as_json:
        typer.echo(json.dumps(status_as_json(output), indent=2, allow_nan=False))
    else:
        show_status(output, every=watch)


@app.command(epilog=teaching("stop output/smoke", "stop output/smoke --now"))
def stop(
    output: OutputFolder,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the trials that run; they are lost.")] = False,
) -> None:
    """End a running study: no further trial starts, and those that run finish first."""
    from sweep.mlflow_ui import require_study
    from sweep.study_folder import ask_to_stop, end_now

    require_study(output)
    typer.echo(end_now(output) if now else ask_to_stop(output))


@app.command(
    epilog=teaching(
        "plan studies/qv_kappa.yaml",
        "plan studies/paper_table1.yaml --profile tiny",
        "plan study.yaml --like output/earlier",
        "plan study.yaml --json",
    )
)
def plan(
    study_file: StudyFile,
    profile: ProfileName = None,
    like: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Estimate the cost from the times of a study that has run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; null stands for no clipping.")] = False,
) -> None:
    """Show every trial of a study with its predicted gain and threshold, and what it will cost; start nothing."""
    from sweep.cost_estimate import estimate_cost
    from sweep.plan import plan_trials

    study, chosen = _load(study_file, profile, needs_device=False)
    arguments = {"study": study, "profile": chosen, "requested_profile": profile or study.profile}
    if study.space.is_adaptive:
        from sweep.adaptive_plan_view import adaptive_plan_as_json as as_values
        from sweep.adaptive_plan_view import show_adaptive_plan as show
    else:
        from sweep.plan_view import plan_as_json as as_values
        from sweep.plan_view import show_plan as show

        arguments["plan"] = plan_trials(study)
    cost = estimate_cost(study=study, profile=chosen, like=like)
    if as_json:
        values = as_values(**arguments) | {"cost": None if cost is None else cost.as_json()}
        typer.echo(json.dumps(values, indent=2, allow_nan=False))
    else:
        show(**arguments)
        if cost is not None:
            typer.echo(str(cost))


@app.command(
    epilog=teaching(
        "doctor",
        "doctor --profile qwen3-4b",
        environment=("CUDA_VISIBLE_DEVICES", "RAY_ADDRESS", "TMPDIR", "HF_HUB_OFFLINE"),
    )
)
def doctor(
    profile: ProfileName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation and the machine, and say what to do about what would get in the way.

    Exit code 2 if a study could not run.
    """
    from sweep import doctor as examination
    from sweep.profiles import AUTO, load_profile, resolve_profile

    chosen = load_profile(profile) if profile and profile != AUTO else resolve_profile(AUTO)
    findings = examination.examine(profile=chosen, output=Path("output"))
    if as_json:
        typer.echo(json.dumps(examination.as_json(findings), indent=2))
    else:
        examination.show(findings)
    if problems := [finding.what for finding in findings if finding.verdict == "problem"]:
        raise UserError(f"profile {chosen.name} cannot run here: {', '.join(problems)}")


@app.command(epilog=teaching("report output/smoke", "report output/smoke --format html"))
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
) -> None:
    """Write the report of a run anew from what MLflow recorded."""
    from sweep.mlflow_ui import require_study

    require_study(output)
    sign_of_life(f"reading {output} and typesetting its report")
    typer.echo(_write_report(output, margin=None if margin is None else margin / 100, format=format))


@app.command(
    epilog=teaching(
        "replay output/smoke",
        "replay output/smoke --grid 50x50 --gain 1e-4:0.5",
        "replay output/smoke --settings filters.csv --overwrite",
    )
)
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
    from sweep.mlflow_ui import require_study
    from sweep.replay.options import grid_request, read_settings

    if settings is not None and (gain or threshold):
        raise UserError("--settings lists the filters itself: leave out --gain and --threshold")
    request = read_settings(settings) if settings else grid_request(grid=grid, gain=gain, threshold=threshold)
    require_study(output)
    sign_of_life(f"reading the log ratios in {output}")

    from rich.console import Console

    from sweep.replay.run import prepare_folder, publish, replay_study

    folder = prepare_folder(output, overwrite=overwrite)
    try:
        pooled = replay_study(output=output, folder=folder, request=request, only=trial or [], console=Console())
        if settings is None:
            from reports.figures.replay_map import save_replay_map

            save_replay_map(output=output, pooled=pooled, folder=folder)
        typer.echo(publish(folder, output=output))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@app.command(epilog=teaching("numerics --q 1e-2 --v 1 --length 4096", "numerics --q 1e-6 --v 1 --length 4096 --csv"))
def numerics(
    q: Annotated[float, typer.Option(metavar="Q", help="Process noise variance, >= 0.")],
    v: Annotated[float, typer.Option(metavar="V", help="Measurement noise variance, > 0.")],
    length: Annotated[int, typer.Option(metavar="T", help="Tokens of a response.")],
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the log ratios.")] = 0,
    scale: Annotated[float, typer.Option(metavar="S", help="Scale of the log ratios.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; null stands for NaN and for never.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every token as CSV.")] = False,
) -> None:
    """Show where the published float32 filter departs from the exact one, and where it becomes NaN."""
    sign_of_life("compiling the filters")

    from sweep.numerics_view import compare, departure_as_csv, departure_as_json, show_departure

    if as_json and as_csv:
        raise UserError("--json and --csv exclude each other")
    departure = compare(q=q, v=v, length=length, seed=seed, scale=scale)
    if as_json:
        typer.echo(departure_as_json(departure, q=q, v=v))
    elif as_csv:
        typer.echo(departure_as_csv(departure))
    else:
        show_departure(departure, q=q, v=v)


@app.command(
    epilog=teaching(
        "audit studies/paper/reported.yaml",
        "audit studies/paper/reported.yaml --output audit.pdf",
        success="the audit ran, also where claims differ",
    )
)
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
    from reports.audit.document import check_output, write_audit

    if as_json and output is not None:
        raise UserError("--json prints; with --output, end the file's name in .json")
    if output is not None:
        check_output(path=output, overwrite=overwrite)

    sign_of_life(f"recomputing {file}")

    from reports.audit import audit as check_claims
    from reports.audit import load_reported
    from reports.audit.export import as_json as rows_as_json
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


@app.command(epilog=teaching("ui output/smoke", "ui output/smoke --port 5001"))
def ui(
    output: OutputFolder,
    port: Annotated[int, typer.Option(metavar="N", help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Serve MLflow's pages for a run on this machine until Ctrl-C."""
    from sweep.mlflow_ui import require_study, serve
    from sweep.preflight import check_port_is_free

    require_study(output)
    check_port_is_free(port)
    typer.echo(f"MLflow on http://127.0.0.1:{port} in some seconds - Ctrl-C ends it")

    from sweep.mlflow_view import prepare_view

    if pages := prepare_view(output):
        for name, page in vars(pages).items():
            typer.echo(f"  {name:<8}http://127.0.0.1:{port}/{page}")
    if (code := serve(output=output, port=port)) != 0:
        raise UserError(f"MLflow ended with exit code {code}")


_FOLDER = "output/smoke"
for _command, _examples in (
    (init, ("init study.yaml", "init study.yaml --compare map --profile auto --seeds 3")),
    (logs, (f"logs {_FOLDER}", f"logs {_FOLDER} kpo-strong_s0 --lines 50", f"logs {_FOLDER} kpo-strong_s0 -f")),
    (export, (f"export {_FOLDER}", f"export {_FOLDER} --format csv --to tables", f"export {_FOLDER} --format optuna")),
    (schema, ("schema", "schema --output study.schema.json")),
):
    app.command(epilog=teaching(*_examples))(_command)
app.command("import", epilog=teaching("import mlruns.db --experiment my_runs --output output/my_runs"))(import_runs)
app.add_typer(data)


def _load(study_file: Path, profile: str | None, *, needs_device: bool = True) -> "tuple[Study, Profile]":
    from sweep.profiles import AUTO, load_profile, resolve_profile
    from sweep.study import load_study

    study = load_study(study_file)
    name = profile or study.profile
    # A plan starts nothing, so that a study for a GPU can be looked at without one.
    chosen = resolve_profile(name) if needs_device or name == AUTO else load_profile(name)
    if study.eval.matching != "equivalent" and chosen.task != "maths":
        raise UserError(
            f"{study_file}: eval.matching: {study.eval.matching} is of the mathematics task; profile {chosen.name} has "
            f"the task {chosen.task}: leave it out, or take another profile (tiny-maths, qwen3-...)"
        )
    return study, chosen


def _write_report(output: Path, *, margin: float | None = None, format: Literal["pdf", "html"] = "pdf") -> str:
    """The PDF; a table of all trials where Optuna chose the arms, and nothing else where nothing was trained."""
    from sweep.arm_table import objectives_of, write_arm_table
    from sweep.engine.kept_traces import KEPT_TRACES

    replayed = (output / KEPT_TRACES).exists()
    table = [str(write_arm_table(output))] if replayed or objectives_of(output) else []
    if replayed:
        return table[0]
    from reports import write_report

    return "\n".join([*table, str(write_report(output=output, margin=margin, format=format))])


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="iskpo-sweep")


if __name__ == "__main__":
    main()
