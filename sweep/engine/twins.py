"""Finds the trial that another is proved to be (`sweep.arms.twins`), so that the other need not be trained."""

from collections.abc import Callable, Iterable
from typing import Any

from sweep.arms.twins import LARGEST, LONGEST, RATIO, family, why_same
from sweep.study.plan import TrialPlan

Measured = Callable[[str, tuple[str, ...]], list[dict[str, float]]]


class Twins:
    """The trials that were trained to their end, by what they have in common.

    Args:
        finished: Those of earlier commands.
        steps: Training steps of a trial.
        measured: From a trial's key and names of metrics to the metrics of each of its training steps.
        wanted: Whether trials are to be looked for at all.
    """

    def __init__(self, *, finished: Iterable[TrialPlan], steps: int, measured: Measured, wanted: bool) -> None:
        """Index the trials."""
        self._steps, self._measured, self._wanted = steps, measured, wanted
        self._by_kind: dict[tuple[Any, ...], list[TrialPlan]] = {}
        for trial in finished:
            self.add(trial)

    def add(self, trial: TrialPlan) -> None:
        """A trial was trained to its end."""
        self._by_kind.setdefault((trial.seed, family(trial.arm)), []).append(trial)

    def original(self, trial: TrialPlan) -> tuple[TrialPlan, str] | None:
        """The trial that this one is proved to be, and why; None where it has to be trained."""
        for other in self._by_kind.get((trial.seed, family(trial.arm)), []) if self._wanted else []:
            steps = self._measured(other.key, (RATIO, LARGEST, LONGEST))
            if why := why_same(trial.arm, other.arm, steps=steps, planned=self._steps):
                return other, why
        return None
