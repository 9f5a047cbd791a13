"""What `run` and `resume` have in common: the trials, the report, and how the command ends."""

import functools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sweep.commands.report import report_text
from sweep.input.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_TRIAL_FAILED, StudyFailed, UserError, in_shell

if TYPE_CHECKING:
    from sweep.engine.event_lines import EventLines
    from sweep.profiles.profile import Profile
    from sweep.study.study import Study

# Failed trials in the last line of a study; all of them are in its status.
_MOST_NAMED = 20


def ends_in_json(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command with ``--json`` end with a line on standard output also when its input is wrong."""

    @functools.wraps(command)
    def with_last_line(**arguments: Any) -> None:
        if not arguments["as_json"]:
            return command(**arguments)
        from sweep.engine.event_lines import EventLines

        try:
            if arguments["quiet"]:
                raise UserError("--quiet and --json exclude each other: --json prints nothing but its lines")
            return command(**arguments)
        except StudyFailed:
            raise  # The study has ended, and its last line said so.
        except UserError as error:
            EventLines(total=0, steps=1).say("error", message=str(error), exit_code=error.exit_code)
            raise

    return with_last_line


def begin(*, study: "Study", profile: "Profile", output: Path, resumed: bool) -> "EventLines":
    """The lines of a study, with the first of them."""
    from sweep.engine.event_lines import EventLines
    from sweep.study.plan import number_of_trials

    total, steps = number_of_trials(study), 1 if study.trial.is_replay else study.steps
    events = EventLines(total=total, steps=steps)
    events.say(
        "study_started",
        study=study.name,
        output=str(output),
        profile=profile.name,
        trials=total,
        steps=steps,
        resumed=resumed,
    )
    return events


def trials_in_words(study: "Study") -> str:
    """How many trials a study has, and of what kind."""
    from sweep.study.plan import number_of_trials

    what = "replayed, not trained" if study.trial.is_replay else f"of {study.steps} steps"
    return f"{number_of_trials(study)} trials {what}"


def run_and_report(
    *,
    study: "Study",
    profile: "Profile",
    output: Path,
    ui_port: int | None,
    quiet: bool,
    as_json: bool,
    resume: bool = False,
    **arguments: Any,
) -> None:
    """Run what is left of a study, write its report, and say how it ended."""
    from sweep.commands.ui import serving
    from sweep.engine import run_study
    from sweep.store.study_folder import AT_ONCE, checkpointed_trials
    from sweep.study.plan import listed_trials, number_of_trials

    # A plain kill ends a study as Ctrl-C does: everything it started is stopped. So does a terminal that is closed,
    # unless the user has it ignored (nohup).
    for ending in (signal.SIGTERM, AT_ONCE):
        signal.signal(ending, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    folder = in_shell(output)
    go_on = f"Finished trials are recorded. Go on: iskpo-sweep resume {folder}; report: iskpo-sweep report {folder}"
    events = begin(study=study, profile=profile, output=output, resumed=resume) if as_json else None
    try:
        with serving(output=output, port=ui_port):
            result = run_study(
                study=study,
                plan=listed_trials(study),
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
        for trial, step in checkpointed_trials(output).items():
            typer.echo(f"{trial} goes on from step {step}.", err=True)
        typer.echo(go_on, err=True)
        raise
    if result.finished or not result.stopped:
        written = report_text(output)
        if events:
            events.say("report", paths=written.split("\n"))
        else:
            typer.echo(written)
    if events:
        code = EXIT_INTERRUPTED if result.stopped else EXIT_TRIAL_FAILED if result.failed else EXIT_OK
        state = "stopped" if result.stopped else "failed" if result.failed else "finished"
        events.study_ended(state=state, exit_code=code, budget_spent=result.spent)
    if not quiet:
        typer.echo(f"Browse the runs: iskpo-sweep ui {in_shell(output)}")
    if result.stopped:
        typer.echo(go_on, err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    if result.spent:
        typer.echo(
            f"The budget is spent: {result.spent}. What has not begun is left out; "
            f"go on with a larger one: iskpo-sweep resume {in_shell(output)} STUDY --extend",
            err=quiet,
        )
    if result.failed:
        named = ", ".join(result.failed[:_MOST_NAMED]) + (", ..." if len(result.failed) > _MOST_NAMED else "")
        raise StudyFailed(f"{len(result.failed)} of {number_of_trials(study)} trials failed: {named}")
