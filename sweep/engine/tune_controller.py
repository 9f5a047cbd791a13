"""Ray Tune 2.60.0: its controller, with two things mended.

A slot that is gone when its next trial is to begin: Tune counts a failure while a reused actor takes its trial
(`reset`) as the trial's end, without a retry, or, where the actor died, as two failures. So the death of a node or of a
slot between two trials would fail a trial that had not begun. Here it is one failure, as in the middle of a trial.

What is asked of the cluster again and again: three times a trial Tune fetches the trainable's class from Ray's control
process, which is a tenth of the engine's time in a study of replays. Here once.

It goes away when ``TuneController._trial_task_failure`` knows of a trial that is being reset, and ``ray.tune.registry``
remembers what it fetched.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import ray.tune.registry
import ray.tune.tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from typing_extensions import override


class _Controller(TuneController):
    @override
    def _trial_task_failure(self, trial: Trial, exception: Exception) -> None:
        if trial in self._resetting_trials:
            self._resetting_trials.discard(trial)
            if trial.status == Trial.PENDING:
                # Tune itself does so where an actor fails to start.
                self._set_trial_status(trial, Trial.RUNNING)
                self._unstage_trial_with_resources(trial)
        elif trial.status == Trial.PENDING:
            # The second report of one failure: the trial waits for its next attempt already.
            return
        super()._trial_task_failure(trial, exception)


@contextlib.contextmanager
def mended() -> Iterator[None]:
    """Tune uses this controller inside; it looks the class up in its module, and offers no other way to choose it."""
    # As anything: neither module says that it lends its names.
    tune: Any = ray.tune.tune
    registry: Any = ray.tune.registry
    fetch = registry._internal_kv_get
    tune.TuneController, registry._internal_kv_get = _Controller, _remembering(fetch)
    try:
        yield
    finally:
        tune.TuneController, registry._internal_kv_get = TuneController, fetch


def _remembering(fetch: Callable[[str], bytes | None]) -> Callable[[str], bytes | None]:
    """Fetch a key once; one that is not there is asked for again."""
    known: dict[str, bytes] = {}

    def remembered(key: str) -> bytes | None:
        if key not in known:
            value = fetch(key)
            if value is None:
                return None
            known[key] = value
        return known[key]

    return remembered
