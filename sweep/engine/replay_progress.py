"""What people see while a replay study runs: how many trials have ended, and what the last gave. No line a trial."""

import time

from rich.console import Console

from sweep.engine.trial_source import Outcome
from sweep.study.plan import TrialPlan

_EVERY_SECONDS = 10.0


class ReplayProgress:
    """Prints a line now and then; use as a context.

    Args:
        total: Trials of the study.
        before: Of which so many ended before this command began.
        quiet: Show nothing.
        console: Where to write; standard output by default.
    """

    def __init__(self, *, total: int, before: int = 0, quiet: bool = False, console: Console | None = None) -> None:
        """Prepare."""
        self._console = console or Console(quiet=quiet)
        self._total, self._ended, self._before = total, before, before
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> "ReplayProgress":
        """Nothing to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """The last count."""
        self._show("")

    def trial_ended(self, trial: TrialPlan, outcome: Outcome) -> None:
        """Count a trial; a failure has a line of its own."""
        self._ended += 1
        if outcome.state == "failed":
            self._print(f"{trial.key}: FAILED: {outcome.reason}")
        elif time.monotonic() - self._shown >= _EVERY_SECONDS:
            values = ", ".join(f"{name} {value:.3g}" for name, value in outcome.objectives.items())
            self._show(f"; last {trial.key}" + (f" with {values}" if values else ""))

    def _show(self, what: str) -> None:
        self._shown = time.monotonic()
        done = self._ended - self._before
        each = f", {1000 * (self._shown - self._started) / done:.0f} ms each" if done else ""
        self._print(f"{self._ended:,} of {self._total:,} trials ended{each}{what}")

    def _print(self, line: str) -> None:
        elapsed = time.monotonic() - self._started
        self._console.print(f"[{elapsed:6.1f} s] {line}", highlight=False, markup=False, soft_wrap=True)
