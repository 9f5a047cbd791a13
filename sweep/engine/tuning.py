"""Hands trials to Ray Tune, one after another, to trainables that are reused."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sweep.engine.environment import environment
from sweep.engine.slot_resources import Bundle
from sweep.engine.trial_source import TrialSource


def tune_trials(
    *,
    trainable: Any,
    arguments: dict[str, Any],
    source: TrialSource,
    total: int,
    slots: int,
    bundles: Sequence[Bundle],
    retries: int,
    output: Path,
    recording: Any,
    may_start: Callable[[], bool],
    scheduler: Any = None,
) -> None:
    """Run the trials of a source to their ends.

    Args:
        trainable: A Tune trainable class that `reset_config` gives its next trial.
        arguments: Of its ``setup``, beside the trial.
        source: Where trials come from.
        total: The most that it has.
        slots: Trials side by side.
        bundles: What each of them reserves in the cluster.
        retries: How often a trial that failed is tried again.
        output: The study's folder.
        recording: The callback that records.
        may_start: Asked before each trial.
        scheduler: Tune's; first come first served by default.
    """
    from ray import tune

    from sweep.engine.schedulers import InOrder
    from sweep.engine.slot_resources import tune_resources
    from sweep.engine.trial_searcher import TrialSearcher
    from sweep.engine.tune_controller import mended

    # A failure is shown in a line and kept whole in MLflow; Tune would also print its own frames around it.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, **arguments), tune_resources(bundles)),
        tune_config=tune.TuneConfig(
            search_alg=TrialSearcher(source=source, may_start=may_start),
            scheduler=scheduler or InOrder(),
            num_samples=total,
            max_concurrent_trials=slots,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.config["trial"],
        ),
        run_config=tune.RunConfig(
            name=f"session_{1 + len(list((output / 'tune').glob('session_*'))):02d}",
            storage_path=str(output.resolve() / "tune"),
            callbacks=[recording],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=retries),
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
