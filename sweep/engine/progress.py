"""What people see while a study runs: a live table of trials in a terminal or a line an event, and the time left."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleRenderable, Group
from rich.control import Control
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from sweep.study.plan import TrialPlan

if TYPE_CHECKING:
    from sweep.engine.trial_source import Outcome


class Pace:
    """Times a study's trials.

    The start of verl and vLLM counts for nothing, since only the first trial waits for it. Until a trial has ended, its
    training steps set the pace, which leaves out evaluation and so says too little; afterwards whole trials do,
    however many run side by side.
    """

    def __init__(self, *, total: int, steps: int) -> None:
        """Nothing has been done."""
        self.ended = 0
        self._rest, self._steps = total, steps
        self._began: float | None = None
        self._last = 0.0
        self._ended_now = 0.0
        self._open: dict[str, int] = {}
        # Steps that an earlier attempt did, which set no pace.
        self._resumed: dict[str, int] = {}

    def known(self) -> None:
        """A trial ended before this command began; it sets no pace."""
        self.ended += 1
        self._rest -= 1

    def working(self, trial: str, step: int) -> None:
        """A trial is at a step, or ready for its first."""
        now = time.monotonic()
        if self._began is None:
            self._began = self._last = now
        if step > self._open.get(trial, 0) and not self._ended_now:
            self._last = now
        self._open[trial] = step

    def resumed(self, trial: str, step: int) -> None:
        """A trial goes on from a checkpoint of this step."""
        self._resumed[trial] = step

    def trial_ended(self, trial: str) -> None:
        """A trial finished, failed or was stopped early."""
        self._open.pop(trial, None)
        self.ended += 1
        self._ended_now += 1 - self._resumed.pop(trial, 0) / self._steps
        self._rest -= 1
        self._last = time.monotonic()

    def retried(self, trial: str) -> None:
        """A trial begins again."""
        self._open.pop(trial, None)
        self._resumed.pop(trial, None)

    def seconds_left(self) -> float | None:
        """Seconds until the last trial ends; None before anything tells."""
        steps_now = sum(max(0, step - self._resumed.get(trial, 0)) for trial, step in self._open.items())
        done = self._ended_now or steps_now / self._steps
        if self._began is None or not done or self._last <= self._began:
            return None
        # Without an ended trial, what the open ones have done is part of the rest.
        rest = self._rest - (0 if self._ended_now else sum(self._open.values()) / self._steps)
        return max(0.0, (self._last - self._began) / done * rest - (time.monotonic() - self._last))

    def in_words(self) -> str:
        """The time that is left, for people; "" where nothing tells, or nothing is left."""
        seconds = self.seconds_left()
        if seconds is None or not self._rest:
            return ""
        if seconds < 60:
            return "less than a minute left"
        minutes = seconds / 60
        return f"about {minutes / 60:.1f} h left" if minutes >= 90 else f"about {round(minutes)} min left"


class ResizableLive(Live):
    """rich's `Live`, drawn on an empty screen after a change of size.

    `Live` goes up as many lines as it wrote. In a terminal that has become narrower those take more lines than that,
    and the upper ones would stay.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As `Live`."""
        super().__init__(*arguments, **options)
        self._drawn_for = self.console.size

    @override
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """As `Live`, from the upper left corner if the size is another than last time."""
        result = super().process_renderables(renderables)
        size = self.console.size
        if size != self._drawn_for and self.console.is_interactive and result:
            # The first is what would move up to the display's beginning.
            result[0] = Control(ControlType.HOME, ControlType.CLEAR)
        self._drawn_for = size
        return result


# Column to the metric in it, what it is multiplied by, and how it is written.
SHOWN = {
    "reward": ("reward/mean", 1.0, "{:.3f}"),
    "gain %": ("kalman/gain_mean", 100.0, "{:.3g}"),
    "clipped %": ("kalman/clip_fraction", 100.0, "{:.3g}"),
    "max |innov.|": ("innovation/max_abs", 1.0, "{:.3g}"),
}
_ACCURACY = "avg@k %"
_COLUMNS = ("trial", "state", "step", "reward", _ACCURACY, "gain %", "clipped %", "max |innov.|")
# Left out below so many columns of text; what remains then fits beside a trial's name.
_WIDE, _IF_WIDE = 100, ("max |innov.|",)
_MOST_WARNINGS = 3

_ENDED = ("finished", "failed", "FAILED", "stopped early", "same as")
_PHASES = {
    **dict.fromkeys(("step", "log_probs", "update"), "training"),
    "evaluation": "evaluating",
    "checkpoint": "writing a checkpoint",
}
_STYLES = {"FAILED": "bold red", "failed": "red", "waiting": "dim", "to be": "yellow"}
_STYLES |= dict.fromkeys(("finished", "same as"), "green")
_LEAST_ROWS, _OTHER_LINES = 5, 8


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
        self._live: ResizableLive | None = None
        self._pace = Pace(total=total, steps=steps)
        # What went wrong last.
        self._warnings: deque[str] = deque(maxlen=_MOST_WARNINGS)

    def __enter__(self) -> "Progress":
        """Start the live table, if there is a terminal."""
        if self._live_wanted:
            self._live = ResizableLive(get_renderable=self._view, console=self._console, refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()

    def _view(self) -> Group:
        wide = self._console.width >= _WIDE
        columns = [name for name in _COLUMNS if wide or name not in _IF_WIDE]
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            left = name in ("trial", "state")
            # On a narrow terminal a long name loses its end before any number does.
            table.add_column(name, justify="left" if left else "right", no_wrap=True, overflow="ellipsis")
        rows = list(self._rows.items())
        # What has ended goes first where a terminal has no room for all, then what waits.
        room = max(_LEAST_ROWS, self._console.height - _OTHER_LINES - len(self._warnings))
        ended = [key for key, row in rows if row.state.startswith(_ENDED)]
        waiting = [key for key, row in reversed(rows) if row.state == "waiting"]
        hidden = set([*ended, *waiting][: max(0, len(rows) - room)])
        for key, row in rows:
            if key not in hidden:
                style = next((style for state, style in _STYLES.items() if row.state.startswith(state)), "")
                values = (row.values.get(name, "") for name in columns[3:])
                table.add_row(key, Text(row.state, style=style), row.step, *values)
        below = [Text(f"{len(hidden)} more trials have ended or wait", style="dim")] if hidden else []
        below += [Text(line, style="yellow", no_wrap=True, overflow="ellipsis") for line in list(self._warnings)]
        status = Table.grid(padding=(0, 2))
        status.add_row(self._bar, self._pace.in_words())
        return Group(table, *below, status)

    def _show(self, line: str) -> None:
        if self._live is None:
            elapsed = time.monotonic() - self._started
            self._console.print(f"[{elapsed:6.1f} s] {line}", highlight=False, markup=False, soft_wrap=True)

    def phase(self, trial: TrialPlan, what: str, step: int) -> None:
        """A trial entered a phase."""
        row = self._rows[trial.key]
        row.state = _PHASES.get(what, what)
        if what == "ready":
            self._pace.working(trial.key, step)
        if row.state != "training":
            self._show(f"{trial.key}: {row.state}")

    def trial_started(self, trial: TrialPlan) -> None:
        """A trial was given to a slot."""
        self._rows[trial.key] = _Row(state="starting", began=time.monotonic())
        self._show(f"{trial.key}: given to a slot")

    def step(self, trial: TrialPlan, step: int, metrics: dict[str, float]) -> None:
        """A training step ended."""
        row = self._rows[trial.key]
        self._pace.working(trial.key, step)
        row.step = f"{step}/{self._steps}"
        self._take(row, metrics)
        values = ", ".join(f"{column} {row.values[column]}" for column in SHOWN if column in row.values)
        self._show(f"{trial.key}: step {row.step}, {values}")

    @staticmethod
    def _take(row: _Row, metrics: dict[str, float]) -> None:
        for column, (name, scale, form) in SHOWN.items():
            if name in metrics:
                row.values[column] = form.format(metrics[name] * scale)
        if shares := [value for name, value in metrics.items() if name.startswith("eval/") and "/avg_at_" in name]:
            row.values[_ACCURACY] = ", ".join(f"{100 * value:.1f}" for value in shares)

    def evaluation(self, trial: TrialPlan, step: int, metrics: dict[str, float]) -> None:
        """An evaluation ended."""
        row = self._rows[trial.key]
        self._take(row, metrics)
        shares = [(name, value) for name, value in metrics.items() if "/avg_at_" in name]
        text = ", ".join(f"{name.partition('/')[2].replace('_at_', '@')} {100 * value:.1f} %" for name, value in shares)
        what = f"evaluated after step {step}" if step else "the untrained model"
        self._show(f"{trial.key}: {what}: {text}")

    def trial_retried(self, trial: TrialPlan, reason: str) -> None:
        """An attempt failed and the trial is to be tried again."""
        self._pace.retried(trial.key)
        self._rows[trial.key] = _Row(state="to be tried again", began=time.monotonic())
        self._warnings.append(f"{trial.key}: attempt failed, to be tried again: {reason}")
        self._show(self._warnings[-1])

    def trial_resumed(self, trial: TrialPlan, step: int, what: str) -> None:
        """A trial goes on from a checkpoint, or has one that is not used."""
        self._pace.resumed(trial.key, step)
        self._warnings.append(f"{trial.key}: {what}")
        self._show(self._warnings[-1])

    def trial_known(self, key: str, state: str) -> None:
        """A trial ended before this command began."""
        self._rows.setdefault(key, _Row()).state = f"{state} earlier"
        self._bar.advance(self._task)
        self._pace.known()

    def trial_settled(self, trial: TrialPlan, outcome: "Outcome", metrics: dict[str, float]) -> None:
        """A trial was proved to be another one and has its numbers; it was never started."""
        row = self._rows.setdefault(trial.key, _Row())
        row.state, row.step = f"same as {outcome.same_as}", f"{outcome.step}/{self._steps}"
        self._take(row, metrics)
        self._bar.advance(self._task)
        self._pace.known()
        self._show(f"{trial.key}: same as {outcome.same_as}: {outcome.reason}")

    def trial_ended(self, trial: TrialPlan, outcome: "Outcome") -> None:
        """A trial finished, failed, or fell behind others and was ended."""
        row = self._rows[trial.key]
        self._bar.advance(self._task)
        self._pace.trial_ended(trial.key)
        if outcome.state == "failed":
            row.state = "FAILED"
            self._warnings.append(f"{trial.key}: FAILED: {outcome.reason}")
            self._show(self._warnings[-1])
        elif outcome.state == "stopped early":
            row.state = "stopped early"
            self._show(f"{trial.key}: ended after step {outcome.step}, since it fell behind (early_stopping)")
        else:
            row.state = "finished"
            left = self._pace.in_words()
            self._show(f"{trial.key}: finished in {time.monotonic() - row.began:.0f} s" + (f"; {left}" if left else ""))
