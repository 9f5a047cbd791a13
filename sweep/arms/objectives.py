"""What an arm is judged by: one number an objective, from what its trials reported, and which arms no other beats."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

Objective = Literal[
    "accuracy", "clip_fraction", "realised_gain", "autocorrelation", "switch_frequency", "outside_fraction"
]
DIRECTIONS: dict[str, Literal["maximize", "minimize"]] = {
    "accuracy": "maximize",
    "clip_fraction": "maximize",
    "realised_gain": "minimize",
    "autocorrelation": "maximize",
    "switch_frequency": "minimize",
    "outside_fraction": "minimize",
}
# How smooth the filtered log ratio is (`iskpo.replay.refilter`): a replay measures it, the loss does not.
SMOOTHNESS = ("autocorrelation", "switch_frequency", "outside_fraction")
REPLAYED = "replay/"
RECORDED = "objective/"
_ACCURACY = "/avg_at_"
# Study files and folders of earlier versions call the realised gain `gain`, which is the steady-state one elsewhere.
_FORMER = {"gain": "realised_gain"}


def current_name(name: Any) -> Any:
    """An objective's name, given that or the name that it had in earlier versions; anything else as it is."""
    return _FORMER.get(name, name) if isinstance(name, str) else name


def recorded_objectives(metrics: Mapping[str, float]) -> dict[str, float]:
    """Objectives among the metrics that MLflow has of a trial, by name."""
    found = {name.removeprefix(RECORDED): value for name, value in metrics.items() if name.startswith(RECORDED)}
    return {current_name(name): value for name, value in found.items()}


def trial_objectives(*, steps: Iterable[Mapping[str, float]], evaluation: Mapping[str, float]) -> dict[str, float]:
    """The objectives of one trial.

    Args:
        steps: Metrics of each training step, under the names that MLflow has them by; a replay has one step.
        evaluation: Metrics of the last evaluation, likewise.

    Returns:
        ``accuracy``, the mean over benchmarks of avg@k; ``clip_fraction`` and ``realised_gain``, over all tokens of the
        trial, and so what a replay says of smoothness. Each is NaN where nothing was reported of it: a loss without
        filter has neither gain nor clip fraction, a replay has no accuracy, and training measures no smoothness.
    """
    accuracies = [value for name, value in evaluation.items() if _ACCURACY in name]
    kept = [step for step in steps if "kalman/tokens" in step]
    tokens = [step["kalman/tokens"] for step in kept]
    return {
        "accuracy": math.fsum(accuracies) / len(accuracies) if accuracies else math.nan,
        **{
            objective: _mean([step.get(metric, math.nan) for step in kept], tokens)
            for objective, metric in _METRICS.items()
        },
    }


_METRICS = {
    "clip_fraction": "kalman/clip_fraction",
    "realised_gain": "kalman/gain_mean",
    **{name: f"{REPLAYED}{name}" for name in SMOOTHNESS},
}


def arm_objectives(*, trials: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The objectives of an arm: means over its trials, one a seed."""
    return {name: math.fsum(trial[name] for trial in trials) / len(trials) for name in trials[0]}


def unbeaten(values: Sequence[Sequence[float]], *, maximise: Sequence[bool]) -> list[bool]:
    """Which points are on the Pareto front of several objectives; with one objective, the best.

    A point is beaten by one that is nowhere worse and somewhere better. Points that are equal do not beat each other. A
    point with a NaN is never unbeaten and beats none.

    Args:
        values: (points, objectives).
        maximise: Of each objective, whether more is better.
    """
    points = np.asarray(values, np.float64).reshape(-1, len(maximise))
    points = points * np.where(maximise, -1.0, 1.0)
    result = np.zeros(len(points), bool)
    # Best in the first objective first, ties by the others: whoever beats a point stands before it. So the first that
    # is left is unbeaten; those that it beats go with it.
    left = np.lexsort(points.T[::-1])
    left = left[~np.isnan(points[left]).any(axis=1)]
    while len(left):
        best, left = left[0], left[1:]
        result[best] = True
        point, others = points[best], points[left]
        left = left[(others < point).any(axis=1) | (others == point).all(axis=1)]
    return result.tolist()


def _mean(values: list[float], weights: list[float]) -> float:
    whole = math.fsum(weights)
    return math.fsum(v * w for v, w in zip(values, weights, strict=True)) / whole if whole else math.nan
