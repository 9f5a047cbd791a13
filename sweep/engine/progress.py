"""What people see while a study runs: a live table of trials in a terminal, one line an event elsewhere."""

import time
from collections import deque
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from sweep.plan import TrialPlan

_COLUMNS = ("trial", "state", "step", "reward", "gain %", "clipped %", "max |innov.|", "avg@k %")
_MOST_WARNINGS = 3

_ENDED = ("finished", "failed", "FAILED", "stopped early")
_LEAST_ROWS, _OTHER_LINES = 10, 8


@dataclass
class _Row:
    state: str = "waiting"
    step: str = ""
    values: dict[str, str] = field(default_factory=dict)
    began: float = 0.0


class Progress:
    """Shows a study's progress; use as a context.

    Args:
        plan: The trials of the study that are known beforehand, in order.
        total: How many there will be.
        steps: Training steps a trial.
        quiet: Show nothing.
        console: Where to write; standard output by default.
    """

    def __init__(
        self, *, plan: list[TrialPlan], total: int, steps: int, quiet: bool = False, console: Console | None = None
    ) -> None:
        """Prepare; nothing is shown before the context is entered."""
        self._console = console or Console(quiet=quiet)
        self._live_wanted = self._console.is_terminal and not quiet
        self._rows = {trial.key: _Row() for trial in plan}
        self._steps = steps
        self._started = time.monotonic()
        self._bar = RichProgress(
            TextColumn("trials"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=self._console
        )
        self._task = self._bar.add_task("trials", total=total)
        self._live: Live | None = None
        # When trials of this command ended, and what went wrong last.
        self._ends: list[float] = []
        self._warnings: deque[str] = deque(maxlen=_MOST_WARNINGS)

    def __enter__(self) -> "Progress":
        """Start the live table, if there is a terminal."""
        if self._live_wanted:
            self._live = Live(self._view(), console=self._console, refresh_per_second=2, transient=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.update(self._view())
            self._live.stop()

    def _view(self) -> Group:
        table = Table(expand=False)
        for name in _COLUMNS:
            table.add_column(name, justify="left" if name in ("trial", "state") else "right", no_wrap=name == "trial")
        rows = list(self._rows.items())
        # What has ended goes first where a terminal has no room for all.
        room = max(_LEAST_ROWS, self._console.height - _OTHER_LINES)
        ended = [key for key, row in rows if row.state.startswith(_ENDED)]
        hidden = set(ended[: max(0, len(rows) - room)])
        for key, row in rows:
            if key in hidden:
                continue
            table.add_row(key, row.state, row.step, *(row.values.get(name, "") for name in _COLUMNS[3:]))
        left = [Text(self._time_left())] if self._time_left() else []
        return Group(table, *(Text(warning, style="yellow") for warning in self._warnings), self._bar, *left)

    def _trial_ended(self) -> None:
        self._bar.advance(self._task)
        self._ends.append(time.monotonic())

    def _time_left(self) -> str:
        """How long the rest takes at the pace so far, in words; the first trial, which waits for a start, sets none."""
        rest = int(self._bar.tasks[0].remaining or 0)
        if len(self._ends) < 2 or not rest:
            return ""
        pace = (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
        minutes = max(0.0, pace * rest - (time.monotonic() - self._ends[-1])) / 60
        return f"about {minutes / 60:.1f} h left" if minutes >= 90 else f"about {max(1, round(minutes))} min left"

    def _show(self, line: str) -> None:
        if self._live is not None:
            self._live.update(self._view())
        else:
            elapsed = time.monotonic() - self._started
            self._console.print(f"[{elapsed:6.1f} s] {line}", highlight=False, markup=False, soft_wrap=True)

    def phase(self, trial: TrialPlan, what: str, step: int) -> None:
        """A trial entered a phase."""
        row = self._rows[trial.key]
        row.state = {"ready": "ready", "step": "training", "evaluation": "evaluating"}.get(what, what)
        if what not in ("step",):
            self._show(f"{trial.key}: {row.state}")
        elif self._live is not None:
            self._live.update(self._view())

    def trial_started(self, trial: TrialPlan) -> None:
        """A trial was given to a slot."""
        self._rows[trial.key] = _Row(state="starting", began=time.monotonic())
        self._show(f"{trial.key}: given to a slot")

    def step(self, trial: TrialPlan, step: int, metrics: dict[str, float]) -> None:
        """A training step ended."""
        row = self._rows[trial.key]
        row.step = f"{step}/{self._steps}"
        shown = {
            "reward": ("reward/mean", 1.0, "{:.3f}"),
            "gain %": ("kalman/gain_mean", 100.0, "{:.3g}"),
            "clipped %": ("kalman/clip_fraction", 100.0, "{:.3g}"),
            "max |innov.|": ("innovation/max_abs", 1.0, "{:.3g}"),
        }
        for column, (name, scale, form) in shown.items():
            if name in metrics:
                row.values[column] = form.format(metrics[name] * scale)
        values = ", ".join(f"{column} {row.values[column]}" for column in shown if column in row.values)
        self._show(f"{trial.key}: step {row.step}, {values}")

    def evaluation(self, trial: TrialPlan, step: int, metrics: dict[str, float]) -> None:
        """An evaluation ended."""
        row = self._rows[trial.key]
        shares = [(name, value) for name, value in metrics.items() if "/avg_at_" in name]
        row.values["avg@k %"] = ", ".join(f"{100 * value:.1f}" for _, value in shares)
        text = ", ".join(
            f"{name.removeprefix('eval/').replace('_at_', '@')} {100 * value:.1f} %" for name, value in shares
        )
        self._show(f"{trial.key}: evaluated after step {step}: {text}")

    def trial_finished(self, trial: TrialPlan) -> None:
        """A trial finished."""
        row = self._rows[trial.key]
        row.state = "finished"
        self._trial_ended()
        left = self._time_left()
        self._show(f"{trial.key}: finished in {time.monotonic() - row.began:.0f} s" + (f"; {left}" if left else ""))

    def trial_retried(self, trial: TrialPlan, reason: str) -> None:
        """An attempt failed and the trial is to be tried again."""
        self._rows[trial.key] = _Row(state="to be tried again", began=time.monotonic())
        self._warnings.append(f"{trial.key}: attempt failed, to be tried again: {reason}")
        self._show(self._warnings[-1])

    def trial_known(self, key: str, state: str) -> None:
        """A trial ended before this command began."""
        self._rows.setdefault(key, _Row()).state = f"{state} earlier"
        self._bar.advance(self._task)

    def trial_stopped_early(self, trial: TrialPlan, step: int) -> None:
        """A trial fell behind others and was ended."""
        self._rows[trial.key].state = "stopped early"
        self._trial_ended()
        self._show(f"{trial.key}: ended after step {step}, since it fell behind (early_stopping)")

    def trial_failed(self, trial: TrialPlan, reason: str) -> None:
        """A trial failed."""
        self._rows[trial.key].state = "FAILED"
        self._trial_ended()
        self._warnings.append(f"{trial.key}: FAILED: {reason}")
        self._show(self._warnings[-1])
