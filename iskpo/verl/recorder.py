"""What the loss saw during one training step, kept exactly in the process that computed it.

verl averages the metrics a loss returns over micro-batches and ranks, which turns a maximum into a mean of maxima and
a fraction into a mean of fractions. So the loss adds a mergeable summary of each micro-batch here, and the worker
collects it once per step, merges it over ranks and hands verl numbers that need no averaging.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from iskpo.innovation_histogram import InnovationHistogram
from iskpo.innovation_moments import Floats, merge_updates, moments_as_metrics, update_metrics
from iskpo.innovations import InnovationSummary
from iskpo.replay.logged_statistics import DIVERGENCE
from iskpo.settings import FilterSettings
from iskpo.verl.names import CORRECTION_ECHO

# What was done about the policy that sampled differing from the one that trains.
Correction = Literal["none", "weights", "bypass"]


@dataclass(frozen=True)
class LossEcho:
    """What verl's own loss function was called with, whichever loss it is.

    Attributes:
        mode: verl's name of the loss.
        clip_low: Lower bound on the ratio, as its distance from 1.
        clip_high: Upper bound.
        outside_share: The share that the bounds are to leave outside.
        correction: ``weights`` where the loss was given some, ``bypass`` where its old log-probabilities are the
            rollout's to the last digit.
    """

    mode: str
    clip_low: float | None
    clip_high: float | None
    outside_share: float | None = None
    correction: Correction = "none"

    def as_metrics(self) -> dict[str, float]:
        """1 under the loss's name, ``loss/mode/gspo``, and the correction's; the bounds on the ratio."""
        bounds = {
            "loss/clip_low": self.clip_low,
            "loss/clip_high": self.clip_high,
            "loss/outside_share": self.outside_share,
        }
        words = {f"loss/mode/{self.mode}": 1.0, f"{CORRECTION_ECHO}{self.correction}": 1.0}
        return words | {name: value for name, value in bounds.items() if value is not None}


@dataclass
class StepRecord:
    """Sums over all micro-batches of one training step.

    Attributes:
        innovations: Mergeable innovation statistics.
        by_update: Moments of the innovations in each mini-batch update by class of tokens, see
            `iskpo.innovation_moments`.
        ratio_clipped: Tokens where the clipped branch of the objective was taken.
        log_ratio_sum: Sum of the unfiltered log ratios z over observed tokens, of whichever loss.
        tokens: How many these are.
        settings: All settings that IS-KPO's loss was to filter with.
        losses: Every distinct loss that verl called.
        used: Every distinct (kappa, eps_low, eps_high) that it ran with: kappa where it follows from the
            step before, else infinity; bounds of 0 where nothing is clipped.
        outside: Tokens whose filtered ratio lay outside the bounds, whatever their advantage.
        excess: Tokens by their ratio's distance from 1, as a multiple of the planned bound on its side; empty where
            nothing is clipped.
    """

    innovations: InnovationSummary = field(default_factory=InnovationSummary.empty)
    by_update: dict[int, Floats] = field(default_factory=dict)
    ratio_clipped: float = 0.0
    log_ratio_sum: float = 0.0
    tokens: int = 0
    settings: set[FilterSettings] = field(default_factory=set)
    losses: set[LossEcho] = field(default_factory=set)
    used: set[tuple[float, float, float]] = field(default_factory=set)
    outside: int = 0
    excess: InnovationHistogram = field(default_factory=InnovationHistogram)

    def add(self, other: "StepRecord") -> None:
        """Merge another record into this one."""
        self.innovations = self.innovations.merge(other.innovations)
        self.by_update = merge_updates(self.by_update, other.by_update)
        self.ratio_clipped += other.ratio_clipped
        self.log_ratio_sum += other.log_ratio_sum
        self.tokens += other.tokens
        self.settings |= other.settings
        self.losses |= other.losses
        self.used |= other.used
        self.outside += other.outside
        self.excess = self.excess.merge(other.excess)

    def as_metrics(self) -> dict[str, float]:
        """The step's metrics, each final: no further averaging is right.

        Raises:
            RuntimeError: The loss ran with more than one set of parameters within the step.
        """
        metrics = {name: value for loss in self.losses for name, value in loss.as_metrics().items()}
        if self.tokens:
            metrics[DIVERGENCE] = -self.log_ratio_sum / self.tokens
        if not self.settings:
            return metrics
        if len(self.settings) > 1 or len(self.used) > 1:
            sets = sorted(map(str, [*self.settings, *self.used]))
            raise RuntimeError(f"the loss ran with several parameter sets in one step: {sets}")
        metrics |= self.innovations.as_metrics() | self.innovations.histogram.as_metrics()
        metrics |= update_metrics(self.by_update) | moments_as_metrics(self.by_update)
        tokens = metrics["kalman/tokens"]
        if tokens:
            metrics["actor/ratio_clip_fraction"] = self.ratio_clipped / tokens
        for kappa, eps_low, eps_high in self.used:
            if eps_high:
                metrics |= {"loss/eps_low": eps_low, "loss/eps_high": eps_high}
                metrics |= {"kalman/outside_share": self.outside / tokens} if tokens else {}
            if math.isfinite(kappa):
                metrics["kalman/kappa_used"] = kappa
        (echo,) = self.settings
        return metrics | echo.as_metrics()

    def as_json(self) -> str:
        """What the next step's threshold and bounds follow from, for a checkpoint."""
        return json.dumps({"innovations": asdict(self.innovations), "excess": asdict(self.excess)})

    @classmethod
    def from_json(cls, text: str) -> "StepRecord":
        """Read `as_json`."""
        content = json.loads(text)
        histogram = _histogram(content["innovations"].pop("histogram"))
        return cls(
            innovations=InnovationSummary(**content["innovations"], histogram=histogram),
            excess=_histogram(content["excess"]),
        )


def _histogram(content: dict[str, list[int]]) -> InnovationHistogram:
    return InnovationHistogram(**{name: tuple(values) for name, values in content.items()})


_current = StepRecord()
_before: StepRecord | None = None


def record(step: StepRecord) -> None:
    """Add one micro-batch; called by the loss."""
    _current.add(step)


def collect() -> StepRecord:
    """Take what has been recorded since the last call and start anew; called by the worker."""
    global _current
    taken, _current = _current, StepRecord()
    return taken


def begin_trial(before: StepRecord | None = None) -> None:
    """Forget the last trial, and begin with the step that a checkpoint was written after."""
    global _before
    collect()
    _before = before


def step_before() -> StepRecord | None:
    """The step before the one that is being trained, merged over all ranks; None in a trial's first."""
    return _before


def end_step(step: StepRecord) -> None:
    """Keep a step for the next; called by the worker, with what all ranks have merged."""
    global _before
    _before = step


def merge_over_ranks(local: StepRecord, group: Any = None) -> StepRecord:
    """Merge the records of all data-parallel ranks; every rank gets the same result."""
    import torch.distributed as distributed

    if not distributed.is_initialized() or distributed.get_world_size(group) == 1:
        return local
    parts: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(parts, local, group=group)
    merged = StepRecord()
    for part in parts:
        merged.add(part)
    return merged
