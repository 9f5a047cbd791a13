"""Hands trials to Ray Tune: which one is next, when one is ended early, and the trainables that are reused.

What a scheduler knows is in memory. A study that is resumed gives it the values of the trials that ended before, in the
order in which they ended, so that it compares with them as it did.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.search import Searcher
from typing_extensions import override

from sweep.engine.event_lines import EventLines
from sweep.engine.own_ray import environment
from sweep.engine.ray_cluster import Bundle, tune_resources
from sweep.engine.trial_source import TrialEnds, TrialSource, as_config
from sweep.engine.tune_controller import mended
from sweep.profiles.profile import Profile
from sweep.store.mlflow_tables import RecordedRun
from sweep.store.study_tracking import StudyTracking
from sweep.study.budget import Spent
from sweep.study.early_stopping import STEP, VALUE, EarlyStopping, Metric, higher_is_better
from sweep.study.plan import TrialPlan
from sweep.study.study import Study


@dataclass(frozen=True)
class RunningStudy:
    """A study that has begun: what it is, what is left of it, and what knows how far it is."""

    study: Study
    profile: Profile
    output: Path
    plan: list[TrialPlan]  # empty where Optuna chooses the arms
    total: int  # trials that there will be
    tracking: StudyTracking
    ends: TrialEnds
    before: list[RecordedRun]  # of the trials that ended before this command began
    spent: Spent
    may_start: Callable[[], bool]  # asked before each trial
    ray_address: str | None
    quiet: bool
    events: EventLines | None  # takes the place of the progress that people see


def tune_trials(
    running: RunningStudy,
    *,
    trainable: Any,
    arguments: dict[str, Any],
    bundles: Sequence[Bundle],
    recording: Any,
    scheduler: TrialScheduler,
    settle: Callable[[TrialPlan], bool] = lambda _: False,
) -> None:
    """Run the trials that are left to their ends.

    Args:
        running: The study.
        trainable: A Tune trainable class that `reset_config` gives its next trial.
        arguments: What its ``setup`` is given beside the trial and the study's folder, ``output``.
        bundles: What a trial reserves in the cluster.
        recording: The callback that records.
        scheduler: What ends trials early, if anything; see `make_scheduler`.
        settle: Whether a trial need not be run, after recording what it is.
    """
    study, output = running.study, running.output.resolve()
    # A failure is shown in a line and kept whole in MLflow; Tune would also print its own frames around it.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, output=str(output), **arguments), tune_resources(bundles)),
        tune_config=tune.TuneConfig(
            search_alg=TrialSearcher(source=running.ends.source, may_start=running.may_start, settle=settle),
            scheduler=scheduler,
            num_samples=running.total,
            max_concurrent_trials=study.slots,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.config["trial"],
        ),
        run_config=tune.RunConfig(
            name=f"session_{1 + len(list((output / 'tune').glob('session_*'))):02d}",
            storage_path=str(output / "tune"),
            callbacks=[recording],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=study.retries),
            # Tune's own checkpoints would hold nothing: a trial's state is verl's.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    with (
        mended(),
        environment(
            # Ctrl-C must end the study at once, not after Tune has let every trial finish its step.
            TUNE_DISABLE_SIGINT_HANDLER="1",
            # Tune's record of its trials is read by nobody, since a study is resumed from MLflow: written at the end.
            TUNE_GLOBAL_CHECKPOINT_S=str(10**9),
            TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
            TUNE_DISABLE_AUTO_CALLBACK_SYNCER="1",
            TUNE_DISABLE_STRICT_METRIC_CHECKING="1",
            RAY_AIR_NEW_OUTPUT="0",
        ),
    ):
        tuner.fit()


class TrialSearcher(Searcher):
    """Suggests each trial once.

    Args:
        source: Where trials come from. It is told how they ended by `sweep.engine.recording`, once MLflow has it.
        may_start: Asked before each trial; once it says no, no further trial is suggested.
        settle: Whether a trial need not be run, after recording what it is.
    """

    def __init__(
        self,
        *,
        source: TrialSource,
        may_start: Callable[[], bool],
        settle: Callable[[TrialPlan], bool] = lambda _: False,
    ) -> None:
        """Remember the source; nothing is started."""
        super().__init__()
        self._source, self._may_start, self._settle, self._over = source, may_start, settle, False

    @override
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # Tune's forgets its word
        """The next trial as Tune's configuration, or the word for having no more."""
        while not self._over and self._may_start() and (trial := self._source.next()) is not None:
            if not self._settle(trial):
                return as_config(trial)
        self._over = True
        return str(Searcher.FINISHED)

    @override
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: `sweep.engine.recording` tells the source."""

    @override
    def save(self, checkpoint_path: str) -> None:
        """Write the file that Tune wants; a study is resumed from what MLflow and Optuna's file hold."""
        Path(checkpoint_path).touch()


History = Sequence[tuple[int, float]]
"""A trial's values by training step."""


def make_scheduler(
    *, stopping: EarlyStopping | None, metric: Metric | None, steps: int, before: Sequence[History] = ()
) -> TrialScheduler:
    """The scheduler of a study."""
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

    @override
    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """A trial that waits: there is one at a time, the last that was suggested or one that is tried again."""
        live = tune_controller.get_live_trials()
        return next((trial for trial in live if trial.status in (Trial.PENDING, Trial.PAUSED)), None)


class _Median(MedianStoppingRule):
    @override
    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Do nothing: the last result is the last value once more, or none at all."""

    @override
    def _on_insufficient_samples(self, tune_controller: Any, trial: Trial, time: float) -> str:
        # Tune would pause the trial in favour of one that waits, which takes a checkpoint; a slot's trials have none.
        return str(TrialScheduler.CONTINUE)


def _remember(made: TrialScheduler, history: History) -> None:
    # Tune's schedulers know a trial by its number and ask nothing else of it, and nothing of a controller.
    trial, nobody = Trial("ReplayedTrial", stub=True), cast(TuneController, None)
    made.on_trial_add(nobody, trial)
    for step, value in history:
        made.on_trial_result(nobody, trial, {STEP: step, VALUE: value})
