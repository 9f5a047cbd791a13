"""Ray Tune's scheduler for a study: first come first served, or one that ends trials which fall behind.

What a scheduler knows is in memory. A study that is resumed gives it the values of the trials that ended before, in the
order in which they ended, so that it compares with them as it did.
"""

from collections.abc import Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from sweep.study.early_stopping import STEP, VALUE, EarlyStopping, Metric, higher_is_better

History = Sequence[tuple[int, float]]
"""A trial's values by training step."""


def scheduler(
    *, stopping: EarlyStopping | None, metric: Metric | None, steps: int, before: Sequence[History] = ()
) -> TrialScheduler:
    """The scheduler of a study.

    Args:
        stopping: When trials are ended early; None for never.
        metric: What is compared.
        steps: Training steps of a trial.
        before: The trials that ended before.
    """
    if stopping is None:
        return InOrder()
    assert metric is not None
    mode = "max" if higher_is_better(metric) else "min"
    if stopping.method == "median":
        made: TrialScheduler = _Median(
            time_attr=STEP, metric=VALUE, mode=mode, grace_period=stopping.after, min_samples_required=stopping.others
        )
    else:
        # One more than there are steps: with the last step itself there would be nothing left to save.
        made = AsyncHyperBandScheduler(
            time_attr=STEP,
            metric=VALUE,
            mode=mode,
            grace_period=stopping.after,
            reduction_factor=stopping.keep,
            max_t=steps + 1,
        )
    for history in before:
        _remember(made, history)
    return made


class InOrder(FIFOScheduler):
    """First come, first served, looking at the trials that have not ended.

    Tune's own looks at all there ever were, twice a trial: with 10,000 trials a tenth of the engine's time.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """A trial that waits: there is one at a time, the last that was suggested or one that is tried again."""
        live = tune_controller.get_live_trials()
        return next((trial for trial in live if trial.status in (Trial.PENDING, Trial.PAUSED)), None)


class _Median(MedianStoppingRule):
    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Nothing: the last result is the last value once more, or none at all."""

    def _on_insufficient_samples(self, tune_controller: Any, trial: Trial, time: float) -> str:
        # Tune would pause the trial in favour of one that waits, which takes a checkpoint; a slot's trials have none.
        return str(TrialScheduler.CONTINUE)


def _remember(made: TrialScheduler, history: History) -> None:
    # Tune's schedulers know a trial by its number and ask nothing else of it.
    trial = Trial("ReplayedTrial", stub=True)
    made.on_trial_add(None, trial)
    for step, value in history:
        made.on_trial_result(None, trial, {STEP: step, VALUE: value})
