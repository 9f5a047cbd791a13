"""The Tune trainable of a replay study: keeps the log ratios loaded and filters them under one arm after another."""

from pathlib import Path
from typing import Any

from ray import tune
from typing_extensions import override

from sweep.engine.trial_source import from_config
from sweep.store.recorded_traces import KeptTraces


class ReplayRunner(tune.Trainable):
    """One slot of a replay study. Tune reuses it (`reuse_actors`), so that log ratios are read once."""

    @override
    def setup(self, config: dict[str, Any], *, output: str) -> None:  # type: ignore[override]  # by `tune.with_parameters`
        """Read the log ratios."""
        self._traces = KeptTraces.load(Path(output))
        self._trial = from_config(config)

    @override
    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self._trial = from_config(new_config)
        return True

    @override
    def step(self) -> dict[str, Any]:
        """The whole trial."""
        # Pairs, since Tune keeps statistics of every number in a mapping, all of them in memory.
        return {"metrics": list(self._traces.metrics(self._trial.arm).items()), "done": True}
