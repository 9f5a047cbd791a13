"""What a trial's run measured, read back while the study runs: for early stopping, and for trials that are others."""

import math
from pathlib import Path

from sweep.store.mlflow_tables import metric_points
from sweep.store.trial_tables import UNTRAINED

# What early stopping compares: how its metrics' names begin, and what is in them.
_COMPARED = {
    "reward": ("reward/mean", ""),
    "accuracy": ("eval/", "/avg_at_"),
    "clip_fraction": ("kalman/clip_fraction", ""),
    "realised_gain": ("kalman/gain_mean", ""),
}
# Of a trial's metrics, those of the run and not of what was trained, and those that follow from kappa.
_OF_THE_RUN, _OF_KAPPA = ("timing_s/", "system/", UNTRAINED), ("kalman/kappa", "kalman/threshold")


def history(*, output: Path, run_id: str, metric: str) -> list[tuple[int, float]]:
    """A trial's values of what early stopping compares, by training step."""
    begins, holds = _COMPARED[metric]
    points: dict[int, list[float]] = {}
    for _, name, step, value in metric_points(output, (f"{begins}*",), run_id=run_id):
        if holds in name:
            points.setdefault(step, []).append(value)
    return [(step, math.fsum(values) / len(values)) for step, values in sorted(points.items())]


def measured(*, output: Path, run_id: str, names: tuple[str, ...]) -> list[dict[str, float]]:
    """Metrics of each training step of a trial, of those that were asked for."""
    steps: dict[int, dict[str, float]] = {}
    for _, name, step, value in metric_points(output, names, run_id=run_id):
        if step > 0:
            steps.setdefault(step, {})[name] = value
    return [steps[step] for step in sorted(steps)]


def points_of_twin(*, output: Path, run_id: str, kappa: float) -> list[tuple[str, int, float]]:
    """The points of a trial that was proved to be another: metric, step and value.

    Args:
        output: The study's folder.
        run_id: The other's run.
        kappa: The trial's own, under which no token was clipped; NaN where its loss has none.
    """
    points = [
        (name, step, value)
        for _, name, step, value in metric_points(output, ("*",), run_id=run_id)
        if not name.startswith(_OF_THE_RUN) and name not in _OF_KAPPA
    ]
    if math.isfinite(kappa):
        points += [("kalman/kappa", step, kappa) for step in sorted({step for _, step, _ in points if step})]
    return points
