"""Shows how far a study is, from what MLflow and the output folder hold. Reads only."""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sweep.errors import UserError
from sweep.study_folder import PLAN_FILE, Owner, owner
from sweep.tracking import tracking_uri

# What a reader wants to see at a glance: column, metric, factor, format.
_SHOWN = (
    ("reward", "reward/mean", 1.0, "{:.3f}"),
    ("gain %", "kalman/gain_mean", 100.0, "{:.3g}"),
    ("clipped %", "kalman/clip_fraction", 100.0, "{:.3g}"),
    ("max |innov.|", "innovation/max_abs", 1.0, "{:.3g}"),
)
_ALWAYS = ("gain %", "clipped %")
# Columns of text: from here on everything fits beside a trial's name; and what stands for no limit.
_WIDE, _UNLIMITED = 110, 400


@dataclass(frozen=True)
class TrialStatus:
    """How far a trial is.

    Attributes:
        trial: Its key.
        state: ``waiting``, ``running``, ``finished``, ``failed``, or ``cut off`` where nobody runs it any more.
        step: Training steps done.
        attempts: How often it was begun.
        minutes: Wall time of the last attempt; None before it begins.
        reason: Why it failed, or "".
        metrics: Last value of each metric that is shown, and of every avg@k.
    """

    trial: str
    state: str
    step: int
    attempts: int
    minutes: float | None
    reason: str
    metrics: dict[str, float]


def show_status(output: Path, *, every: float | None = None) -> None:
    """Print a study's state; with `every`, again after so many seconds until the study ends."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_UNLIMITED)
    if every is None:
        console.print(_view(output, width=console.width))
        return
    with Live(_view(output, width=console.width), console=console, auto_refresh=False) as live:
        while owner(output) is not None:
            time.sleep(every)
            live.update(_view(output, width=console.width), refresh=True)


def status_as_json(output: Path) -> dict[str, Any]:
    """The same as JSON-ready values."""
    running = owner(output)
    return {
        "study": _planned(output)["study"],
        "run_by": asdict(running) if running else None,
        "steps": _planned(output)["steps"],
        "trials": [asdict(trial) for trial in trial_states(output)],
    }


def trial_states(output: Path) -> list[TrialStatus]:
    """Every planned trial, in planned order."""
    planned = _planned(output)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    experiment = client.get_experiment_by_name(planned["study"])
    runs: dict[str, Run] = {}
    token = None
    while experiment is not None:
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
        runs |= {run.data.tags["iskpo.trial"]: run for run in page if "iskpo.trial" in run.data.tags}
        token = page.token
        if not token:
            break
    alive = owner(output) is not None
    return [_status(trial["key"], runs.get(trial["key"]), client, alive=alive) for trial in planned["trials"]]


def _planned(output: Path) -> dict[str, Any]:
    try:
        plan: dict[str, Any] = json.loads((output / PLAN_FILE).read_text())
        return {**plan, "study": plan["study"], "steps": plan["steps"], "trials": plan["trials"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{output / PLAN_FILE} cannot be read: the study ended before it began, or a very early version made it; "
            f"`iskpo-sweep report {output}` needs the store alone"
        ) from None


def _status(key: str, run: Run | None, client: MlflowClient, *, alive: bool) -> TrialStatus:
    if run is None:
        return TrialStatus(trial=key, state="waiting", step=0, attempts=0, minutes=None, reason="", metrics={})
    tags = run.data.tags
    state = tags.get("iskpo.state", "running")
    if state == "interrupted" or (state == "running" and not alive):
        state = "cut off"
    began = int(tags.get("iskpo.restarted", run.info.start_time))
    ended = run.info.end_time if state != "running" else int(1000 * time.time())
    metrics = {
        name: value
        for name, value in run.data.metrics.items()
        if math.isfinite(value) and (name in {metric for _, metric, _, _ in _SHOWN} or "/avg_at_" in name)
    }
    history = client.get_metric_history(run.info.run_id, "kalman/gain_mean")
    return TrialStatus(
        trial=key,
        state=state,
        step=max((point.step for point in history), default=0),
        attempts=int(tags.get("iskpo.attempts", "1")),
        minutes=(ended - began) / 60_000 if ended and ended >= began else None,
        reason=tags.get("iskpo.reason", ""),
        metrics=metrics,
    )


def _view(output: Path, *, width: int) -> Group:
    planned, running, trials = _planned(output), owner(output), trial_states(output)
    counts = {state: sum(trial.state == state for trial in trials) for state in dict.fromkeys(t.state for t in trials)}
    shown = _SHOWN if width >= _WIDE else [entry for entry in _SHOWN if entry[0] in _ALWAYS]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial", no_wrap=True)
    table.add_column("state")
    for name in ("step", "minutes", *(column for column, *_ in shown), "avg@k %"):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in trials:
        again = f", attempt {trial.attempts}" if trial.attempts > 1 else ""
        table.add_row(
            trial.trial,
            trial.state + again,
            f"{trial.step}/{planned['steps']}",
            "" if trial.minutes is None else f"{trial.minutes:.1f}",
            *(
                form.format(factor * trial.metrics[metric]) if metric in trial.metrics else ""
                for _, metric, factor, form in shown
            ),
            ", ".join(f"{100 * value:.1f}" for name, value in trial.metrics.items() if "/avg_at_" in name),
        )
    reasons = [Text(f"{trial.trial} failed: {trial.reason}") for trial in trials if trial.state == "failed"]
    return Group(Text(_headline(planned["study"], running, counts, output)), table, *reasons)


def _headline(study: str, running: Owner | None, counts: dict[str, int], output: Path) -> str:
    what = ", ".join(f"{number} {state}" for state, number in counts.items())
    if running is not None:
        return f"Study {study}: {what}. Run by {running}."
    if set(counts) <= {"finished", "failed"}:
        return f"Study {study}: {what}. It has ended."
    return f"Study {study}: {what}. Nobody runs it; go on with `iskpo-sweep resume {output}`."
