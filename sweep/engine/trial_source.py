"""Where a running study's trials come from, and what is done when one has ended.

They come from its plan, or from Optuna, which chooses arms by the results of those before. A trial that has ended is
counted, and the source is told.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from typing_extensions import override

from sweep.arms.arm import Arm
from sweep.arms.objectives import arm_objectives
from sweep.arms.twins import family
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
        reason: Why it failed, or why it is the same as another; else "".
        same_as: Key of the trial that it was proved to be, and whose numbers it has; "" for one that was trained.
    """

    state: State
    objectives: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None
    reason: str = ""
    same_as: str = ""


class TrialSource(Protocol):
    """Hands out trials and is told how each ended."""

    objectives: tuple[str, ...]
    """What the choice of further arms depends on; empty where they are planned."""

    def next(self) -> TrialPlan | None:
        """The next trial; None when there are no more."""

    def ended(self, trial: TrialPlan, outcome: Outcome) -> None:
        """How a trial ended, after MLflow has it."""

    def known(self) -> Iterable[TrialPlan]:
        """Trials that ended before this command began may be among these."""


class PlannedTrials:
    """A list, in its order; a plan does not learn.

    Of arms that differ in kappa alone, one waits while another runs that it may turn out to be, as long as there is
    something else to run.
    """

    objectives: tuple[str, ...] = ()

    def __init__(self, plan: Sequence[TrialPlan], *, ended: Collection[str] = (), twins: bool = False) -> None:
        """Remember what is left to run.

        Args:
            plan: All trials.
            ended: Keys of those that ended before.
            twins: Whether trials that are proved to be others are not trained.
        """
        self._plan = plan
        self._waiting = deque(
            (trial, (trial.seed, family(trial.arm)) if twins else ()) for trial in plan if trial.key not in ended
        )
        self._running: dict[str, tuple[Any, ...]] = {}

    def next(self) -> TrialPlan | None:
        """The next in the list, but for those that wait for one of their kind."""
        if not self._waiting:
            return None
        running = {kind for kind in self._running.values() if kind}
        place = next((place for place, (_, kind) in enumerate(self._waiting) if kind not in running), 0)
        trial, kind = self._waiting[place]
        del self._waiting[place]
        self._running[trial.key] = kind
        return trial

    def ended(self, trial: TrialPlan, outcome: Outcome) -> None:
        """One that waits for it need wait no longer."""
        self._running.pop(trial.key, None)

    def known(self) -> Iterable[TrialPlan]:
        """All of them."""
        return self._plan


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
        untrained: bool = False,
    ) -> None:
        """Begin, or go on.

        Args:
            suggester: Optuna.
            seeds: The study's.
            objectives: What Optuna is told.
            before: Outcomes of the trials that have ended already, by key.
            untrained: Whether the first arm's trials evaluate the untrained model too.
        """
        self.objectives, self._untrained = objectives, untrained
        self._suggester, self._seeds, self._before = suggester, tuple(seeds), before
        told = [self._trial(arm, seed) for arm in suggester.told() for seed in seeds]
        self._known = told + [self._trial(arm, seed) for arm in suggester.begun() for seed in seeds]
        # A trial that Optuna knows the result of is run again, for itself, where somebody deleted its run in MLflow.
        self._waiting = deque(trial for trial in told if trial.key not in before)
        self._numbers: dict[str, int] = {}
        self._open: dict[str, dict[int, Outcome]] = {}

    @staticmethod
    def _trial(arm: Arm, seed: int, *, untrained: bool = False) -> TrialPlan:
        return TrialPlan(key=trial_key(arm, seed), arm=arm, seed=seed, untrained=untrained)

    def known(self) -> Iterable[TrialPlan]:
        """Trials of arms that Optuna had chosen when the study was taken up again."""
        return self._known

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
                trial = self._trial(arm, seed, untrained=self._untrained and number == 0)
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
    return {"trial": trial.key, "seed": trial.seed, "arm": asdict(trial.arm), "untrained": trial.untrained}


def from_config(config: Mapping[str, Any]) -> TrialPlan:
    """The trial that `as_config` turned into this."""
    arm = Arm(**config["arm"])
    return TrialPlan(key=config["trial"], arm=arm, seed=config["seed"], untrained=config["untrained"])


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
