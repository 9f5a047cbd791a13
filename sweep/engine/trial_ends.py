"""What is done with a trial that has ended, of whatever kind: it is counted, and whoever chooses arms is told."""

from dataclasses import dataclass, field

from sweep.engine.trial_source import Outcome, TrialSource
from sweep.study.plan import TrialPlan


@dataclass
class TrialEnds:
    """Trials that have ended.

    Attributes:
        source: Where trials come from.
        finished: Keys of those that finished, now or before.
        failed: Keys of those that failed.
        stopped_early: Keys of those that fell behind and were ended.
    """

    source: TrialSource
    finished: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    stopped_early: list[str] = field(default_factory=list)

    def __getstate__(self) -> dict[str, object]:
        """Nothing: part of a Tune callback, which Tune writes to disk."""
        return {}

    def __len__(self) -> int:
        """All of them."""
        return len(self.finished) + len(self.failed) + len(self.stopped_early)

    def before(self, key: str, state: str) -> None:
        """Count a trial that ended before this command began."""
        {"finished": self.finished, "failed": self.failed, "stopped early": self.stopped_early}[state].append(key)

    def now(self, trial: TrialPlan, outcome: Outcome) -> None:
        """Count a trial that MLflow has the end of, and tell the source."""
        self.before(trial.key, outcome.state)
        self.source.ended(trial, outcome)
