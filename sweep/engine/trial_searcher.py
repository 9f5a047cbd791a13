"""A Ray Tune searcher that hands out the trials of a source for as long as the study may start any."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from sweep.engine.trial_source import TrialSource, as_config


class TrialSearcher(Searcher):
    """Suggests each trial once.

    Args:
        source: Where trials come from. It is told how they ended by `sweep.engine.recording`, once MLflow has it.
        may_start: Asked before each trial; once it says no, no further trial is suggested.
    """

    def __init__(self, *, source: TrialSource, may_start: Callable[[], bool]) -> None:
        """Remember the source; nothing is started."""
        super().__init__()
        self._source, self._may_start, self._over, self._suggested = source, may_start, False, 0

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial as Tune's configuration, or the word for having no more."""
        self._over = self._over or not self._may_start()
        trial = None if self._over else self._source.next()
        if trial is None:
            self._over = True
            return str(Searcher.FINISHED)
        self._suggested += 1
        return as_config(trial)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the source is told by what records."""

    def save(self, checkpoint_path: str) -> None:
        """How many were suggested, for people: a study is resumed from what MLflow and Optuna's file hold."""
        Path(checkpoint_path).write_text(json.dumps({"suggested": self._suggested}))

    def restore(self, checkpoint_path: str) -> None:
        """Read what `save` wrote."""
        self._suggested = json.loads(Path(checkpoint_path).read_text())["suggested"]
