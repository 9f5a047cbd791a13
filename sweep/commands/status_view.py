"""Shows how far a study is, from what MLflow and the output folder hold. Reads only."""

import time
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from sweep.engine.progress import SHOWN, ResizableLive
from sweep.input.errors import UserError, in_shell
from sweep.store.exports import best_arms, planned_objectives
from sweep.store.mlflow_tables import RecordedRun, recorded_runs
from sweep.store.study_folder import PLAN_FILE, Owner, checkpointed_trials, owner, read_plan
from sweep.store.undelivered import count_unsent, undelivered

_ALWAYS = ("gain %", "clipped %")
_METRICS = (*(metric for metric, _, _ in SHOWN.values()), "eval/*/avg_at_*", "objective/*")
# Columns of text: from here on everything fits beside a trial's name; and what stands for no limit.
_WIDE, _UNLIMITED = 110, 400
# Trials in the table; of more, those that have ended or wait are counted, but for the last of them.
_MOST_ROWS, _LAST_ENDED = 100, 20
_OPEN = ("running", "cut off")


@dataclass(frozen=True)
class TrialStatus:
    """How far a trial is.

    Attributes:
        trial: Its key.
        state: ``waiting``, ``running``, ``finished``, ``failed``, ``stopped early`` where it fell behind, or
            ``cut off`` where nobody runs it any more.
        step: Training steps done.
        attempts: How often it was begun.
        minutes: Wall time of the last attempt; None before it begins.
        reason: Why it failed, or why it is the same as another; else "".
        same_as: Key of the trial that it was proved to be, without training; else "".
        checkpoint: Step of its newest complete checkpoint, from which it goes on if it is cut off; None without one.
        metrics: Last value of each metric that is shown, of every avg@k, and of every objective.
    """

    trial: str
    state: str
    step: int
    attempts: int
    minutes: float | None
    reason: str
    same_as: str
    checkpoint: int | None
    metrics: dict[str, float]


def show_status(output: Path, *, every: float | None = None) -> None:
    """Print a study's state; with `every`, again after so many seconds until the study ends."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_UNLIMITED)
    if every is None:
        console.print(_view(output, width=console.width))
        return
    with ResizableLive(_view(output, width=console.width), console=console, auto_refresh=False) as live:
        while owner(output) is not None:
            time.sleep(every)
            live.update(_view(output, width=console.width), refresh=True)


def status_as_json(output: Path) -> dict[str, Any]:
    """A study's state as JSON-ready values."""
    running, planned = owner(output), _planned(output)
    trials = trial_states(output)
    return {
        "study": planned["study"],
        "run_by": asdict(running) if running else None,
        "steps": planned["steps"],
        "undelivered": undelivered(output),
        "undelivered_files": count_unsent(output)[0],
        "not_chosen_yet": _total(planned, trials) - len(trials),
        "trials": [asdict(trial) for trial in trials],
    }


def trial_states(output: Path) -> list[TrialStatus]:
    """Every planned trial, in planned order; where Optuna chooses the arms, every trial that has begun."""
    runs = {run.trial: run for run in recorded_runs(output, metrics=_METRICS)}
    alive = owner(output) is not None
    keys = [trial["key"] for trial in _planned(output)["trials"]] or list(runs)
    checkpoints = checkpointed_trials(output)
    return [_status(key, runs.get(key), alive=alive, checkpoint=checkpoints.get(key)) for key in keys]


def _total(planned: dict[str, Any], trials: list[TrialStatus]) -> int:
    """Trials of the study, those included that have no arm yet."""
    return int(planned.get("adaptive", {}).get("trials", len(trials)))


def _planned(output: Path) -> dict[str, Any]:
    plan = read_plan(output)
    if not {"study", "steps", "trials"} <= plan.keys():
        raise UserError(
            f"{output / PLAN_FILE} cannot be read: the study ended before it began, or a very early version made it; "
            f"`iskpo-sweep report {in_shell(output)}` needs the store alone"
        )
    return plan


def _status(key: str, run: RecordedRun | None, *, alive: bool, checkpoint: int | None) -> TrialStatus:
    if run is None:
        return TrialStatus(
            key, "waiting", step=0, attempts=0, minutes=None, reason="", same_as="", checkpoint=None, metrics={}
        )
    state = run.state
    if state == "interrupted" or (state == "running" and not alive):
        state = "cut off"
    cut_off_at_unknown_time = state == "cut off" and run.end_time is None
    seconds = None if cut_off_at_unknown_time else run.seconds
    return TrialStatus(
        trial=key,
        state=state,
        step=run.step,
        attempts=run.attempts,
        minutes=None if seconds is None else seconds / 60,
        reason=run.reason,
        same_as=run.same_as,
        checkpoint=checkpoint,
        metrics=dict(sorted(run.metrics.items(), key=lambda item: _place(item[0]))),
    )


@cache
def _place(metric: str) -> tuple[int, str]:
    """Where a metric stands among a trial's: in the order of `_METRICS`, and by name within one pattern."""
    return next(number for number, pattern in enumerate(_METRICS) if fnmatchcase(metric, pattern)), metric


def _view(output: Path, *, width: int) -> Group:
    planned, running, trials = _planned(output), owner(output), trial_states(output)
    counts = {state: sum(trial.state == state for trial in trials) for state in dict.fromkeys(t.state for t in trials)}
    if not_chosen := _total(planned, trials) - len(trials):
        counts["not begun"] = not_chosen
    listed = _listed(trials)
    shown = {column: how for column, how in SHOWN.items() if width >= _WIDE or column in _ALWAYS}
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial", no_wrap=True)
    table.add_column("state")
    for name in ("step", "minutes", *shown, "avg@k %"):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in listed:
        again = f", attempt {trial.attempts}" if trial.attempts > 1 else ""
        if trial.state == "cut off" and trial.checkpoint is not None:
            again += f", goes on from step {trial.checkpoint}"
        table.add_row(
            trial.trial,
            f"same as {trial.same_as}" if trial.same_as else trial.state + again,
            f"{trial.step}/{planned['steps']}",
            "" if trial.minutes is None else f"{trial.minutes:.3f}" if trial.minutes < 0.05 else f"{trial.minutes:.1f}",
            *(
                form.format(factor * trial.metrics[metric]) if metric in trial.metrics else ""
                for metric, factor, form in shown.values()
            ),
            ", ".join(f"{100 * value:.1f}" for name, value in trial.metrics.items() if "/avg_at_" in name),
        )
    notes = [Text(f"{trial.trial} failed: {trial.reason}") for trial in listed if trial.state == "failed"]
    if hidden := len(trials) - len(listed):
        notes.append(
            Text(f"{hidden:,} more have ended or wait; `iskpo-sweep status {in_shell(output)} --json` lists all.")
        )
    notes += _best(planned, trials)
    if missing := undelivered(output):
        notes.append(Text(f"{missing:,} points or changes have not reached MLflow's server; all are in the folder."))
    unsent, refusal = count_unsent(output)
    if unsent:
        why = f": {refusal}" if refusal else ""
        notes.append(Text(f"{unsent:,} files are in the folder and not on MLflow's server{why}."))
    return Group(Text(_headline(planned["study"], running, counts, output)), table, *notes)


def _listed(trials: list[TrialStatus]) -> list[TrialStatus]:
    if len(trials) <= _MOST_ROWS:
        return trials
    ended = [index for index, trial in enumerate(trials) if trial.state not in (*_OPEN, "waiting")]
    shown = {*ended[-_LAST_ENDED:], *(index for index, trial in enumerate(trials) if trial.state in _OPEN)}
    return [trials[index] for index in sorted(shown)[:_MOST_ROWS]]


def _best(planned: dict[str, Any], trials: list[TrialStatus]) -> list[Text]:
    """What Optuna has found so far."""
    objectives = planned_objectives(planned)
    # An arm's name is its trials' without the seed.
    arms = {trial.trial: trial.trial.rpartition("_s")[0] for trial in trials}
    best = best_arms(arms, trials, objectives)
    if not best:
        return []
    what = " and ".join(objectives)
    if len(objectives) > 1:
        return [Text(f"{len(best)} arms are beaten by no other in {what}: {', '.join(best[-5:])}")]
    return [Text(f"Best in {what} so far: {', '.join(best[-5:])}")]


def _headline(study: str, running: Owner | None, counts: dict[str, int], output: Path) -> str:
    what = ", ".join(f"{number} {state}" for state, number in counts.items())
    if running is not None:
        return f"Study {study}: {what}. Run by {running}."
    if set(counts) <= {"finished", "failed", "stopped early"}:
        return f"Study {study}: {what}. It has ended."
    return f"Study {study}: {what}. Nobody runs it; go on with `iskpo-sweep resume {in_shell(output)}`."
