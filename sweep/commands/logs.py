"""``iskpo-sweep logs``: what verl and vLLM printed during one trial."""

import sys
import time
from typing import Annotated

import typer

from sweep.commands.arguments import OutputFolder, complete_trial

_POLL_SECONDS = 0.5


def logs(
    output: OutputFolder,
    trial: Annotated[
        str | None,
        typer.Argument(
            metavar="TRIAL", help="Key of a trial; leave it out for the list.", autocompletion=complete_trial
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the trial ends.")] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", metavar="N", min=0, help="Only the last N lines of what is there.")
    ] = None,
    attempt: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="This attempt. [default: the last]", show_default=False)
    ] = None,
) -> None:
    """Print what Ray, verl and vLLM printed during a trial, and why it failed if it did."""
    from sweep.input.errors import UserError
    from sweep.store.study_folder import attempts, owner
    from sweep.store.trial_log import chunks, find_attempt, trial_keys

    keys = trial_keys(output)
    if trial is None:
        raise UserError(f"name a trial of {output}:\n  " + "\n  ".join(keys))
    if follow and trial in keys and not attempts(output, trial):
        typer.echo(f"waiting for {trial} to begin; Ctrl-C ends this, not the study", err=True)
        while owner(output) is not None and not attempts(output, trial):
            time.sleep(_POLL_SECONDS)
    folder = find_attempt(output=output, trial=trial, attempt=attempt)
    for data in chunks(output=output, folder=folder, follow=follow and owner(output) is not None, lines=lines):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    reason = folder / f"{folder.name}.log"
    if reason.is_file():
        first = reason.read_text(errors="replace", encoding="utf-8").strip().partition("\n")[0]
        typer.echo(f"{trial}, attempt {folder.name[8:].lstrip('0')} failed: {first} (all of it: {reason})", err=True)
