"""A Ray Tune searcher that hands out a plan, in its order, for as long as the study may start trials."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from sweep.plan import TrialPlan


class PlanSearcher(Searcher):
    """Suggests each planned trial once.

    Args:
        plan: The trials to run, in order.
        may_start: Asked before each trial; once it says no, no further trial is suggested.
    """

    def __init__(self, *, plan: Sequence[TrialPlan], may_start: Callable[[], bool]) -> None:
        """Remember the plan; nothing is started."""
        super().__init__()
        self._waiting = [trial.key for trial in plan]
        self._may_start = may_start

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial as Tune's configuration, or the word for having no more."""
        if not self._waiting or not self._may_start():
            self._waiting = []
            return str(Searcher.FINISHED)
        return {"trial": self._waiting.pop(0)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: a plan does not learn."""

    def save(self, checkpoint_path: str) -> None:
        """What is still waiting, for people: a study is resumed from what MLflow recorded."""
        Path(checkpoint_path).write_text(json.dumps({"waiting": self._waiting}))

    def restore(self, checkpoint_path: str) -> None:
        """Read what `save` wrote."""
        self._waiting = json.loads(Path(checkpoint_path).read_text())["waiting"]
