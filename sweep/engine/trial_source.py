"""Where a running study's trials come from, and what is done when one has ended.

They come from its plan, or from Optuna, which chooses arms by the results of those before. A trial that has ended is
counted, and the source is told.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from typing_extensions import override

from sweep.arms.arm import Arm
from sweep.arms.objectives import arm_objectives
from sweep.engine.suggester import OptunaSuggester
from sweep.study.plan import TrialPlan, trial_key

State = Literal["finished", "failed", "stopped early"]


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: ``finished``, ``failed``, or ``stopped early`` where it fell behind others.
        objectives: What it is judged by, of as many steps as it did; without those that it did not measure.
        step: Its last training step; None where it is not known.
        reason: Why it failed, or "".
    """

    state: State
    objectives: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None
    reason: str = ""


class TrialSource(Protocol):
    """Hands out trials and is told how each ended."""

    objectives: tuple[str, ...]
    """What the choice of further arms depends on; empty where they are planned."""

    def next(self) -> TrialPlan | None:
        """The next trial; None when there are no more."""

    def ended(self, trial: TrialPlan, outcome: Outcome) -> None:
        """How a trial ended, after MLflow has it."""


class PlannedTrials:
    """A list, in its order; a plan does not learn."""

    objectives: tuple[str, ...] = ()

    def __init__(self, plan: Iterable[TrialPlan]) -> None:
        """Remember what is left to run."""
        self._waiting = deque(plan)

    def next(self) -> TrialPlan | None:
        """The next in the list."""
        return self._waiting.popleft() if self._waiting else None

    def ended(self, trial: TrialPlan, outcome: Outcome) -> None:
        """Do nothing: the plan does not change."""


class SuggestedTrials:
    """Arms from Optuna, each with every seed; an arm's result is told once its last seed has ended.

    MLflow has an outcome before Optuna does. A study that was killed in between finds the arm still open in Optuna's
    file and all its trials ended in MLflow, and tells then.
    """

    def __init__(
        self,
        *,
        suggester: OptunaSuggester,
        seeds: Sequence[int],
        objectives: tuple[str, ...],
        before: dict[str, Outcome],
    ) -> None:
        """Begin, or go on.

        Args:
            suggester: Optuna.
            seeds: The study's.
            objectives: What Optuna is told.
            before: Outcomes of the trials that have ended already, by key.
        """
        self.objectives = objectives
        self._suggester, self._seeds, self._before = suggester, tuple(seeds), before
        # A trial that Optuna knows the result of is run again, for itself, where somebody deleted its run in MLflow.
        self._waiting = deque(
            trial
            for arm in suggester.told()
            for trial in (TrialPlan(key=trial_key(arm, seed), arm=arm, seed=seed) for seed in seeds)
            if trial.key not in before
        )
        self._numbers: dict[str, int] = {}
        self._open: dict[str, dict[int, Outcome]] = {}

    @override
    def __getstate__(self) -> dict[str, Any]:
        """Keep nothing: Tune writes its searcher to disk, and Optuna's file is where this is kept."""
        return {}

    def next(self) -> TrialPlan | None:
        """The next seed of an arm that has begun, or a new arm's first."""
        while not self._waiting:
            asked = self._suggester.ask()
            if asked is None:
                return None
            number, arm = asked
            self._numbers[arm.name], self._open[arm.name] = number, {}
            for seed in self._seeds:
                trial = TrialPlan(key=trial_key(arm, seed), arm=arm, seed=seed)
                if (outcome := self._before.pop(trial.key, None)) is None:
                    self._waiting.append(trial)
                else:
                    self.ended(trial, outcome)
        return self._waiting.popleft()

    def ended(self, trial: TrialPlan, outcome: Outcome) -> None:
        """Tell Optuna when this was the arm's last seed, unless it knows already."""
        name = trial.arm.name
        if name not in self._open:
            return
        outcomes = self._open[name]
        outcomes[trial.seed] = outcome
        if len(outcomes) < len(self._seeds):
            return
        number = self._numbers.pop(name)
        del self._open[name]
        if failed := [f"seed {seed}: {o.reason or 'failed'}" for seed, o in outcomes.items() if o.state == "failed"]:
            self._suggester.tell(number=number, failure="; ".join(failed))
            return
        missing = float("nan")
        metrics = arm_objectives(
            trials=[{name: o.objectives.get(name, missing) for name in self.objectives} for o in outcomes.values()]
        )
        behind = [o.step for o in outcomes.values() if o.state == "stopped early" and o.step is not None]
        self._suggester.tell(number=number, metrics=metrics, stopped_at=min(behind) if behind else None)


def as_config(trial: TrialPlan) -> dict[str, Any]:
    """A trial as Tune's configuration: plain values, which Tune copies and writes to disk."""
    return {"trial": trial.key, "seed": trial.seed, "arm": asdict(trial.arm)}


def from_config(config: Mapping[str, Any]) -> TrialPlan:
    """The trial that `as_config` turned into this."""
    return TrialPlan(key=config["trial"], arm=Arm(**config["arm"]), seed=config["seed"])


@dataclass
class TrialEnds:
    """Trials that have ended."""

    source: TrialSource
    finished: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    stopped_early: list[str] = field(default_factory=list)

    @override
    def __getstate__(self) -> dict[str, object]:
        """Keep nothing: Tune writes its callbacks, of which this is a part, to disk."""
        return {}

    def __len__(self) -> int:
        """All of them."""
        return len(self.finished) + len(self.failed) + len(self.stopped_early)

    def __contains__(self, key: str) -> bool:
        """Whether a trial has ended."""
        return key in {*self.finished, *self.failed, *self.stopped_early}

    def before(self, key: str, state: str) -> None:
        """Count a trial that ended before this command began."""
        {"finished": self.finished, "failed": self.failed, "stopped early": self.stopped_early}[state].append(key)

    def now(self, trial: TrialPlan, outcome: Outcome) -> None:
        """Count a trial that MLflow has the end of, and tell the source."""
        self.before(trial.key, outcome.state)
        self.source.ended(trial, outcome)
