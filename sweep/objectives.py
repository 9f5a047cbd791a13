"""What an arm is judged by while a study runs: one number an objective, from what its trials reported."""

import math
from collections.abc import Iterable, Mapping, Sequence

_ACCURACY = "/avg_at_"


def trial_objectives(*, steps: Iterable[Mapping[str, float]], evaluation: Mapping[str, float]) -> dict[str, float]:
    """The objectives of one trial.

    Args:
        steps: Metrics of each training step, under the names that MLflow has them by.
        evaluation: Metrics of the last evaluation, likewise.

    Returns:
        ``accuracy``, the mean over benchmarks of avg@k; ``clip_fraction`` and ``gain``, over all tokens of the trial.
        Each is NaN where nothing was reported of it: a loss without filter has neither gain nor clip fraction.
    """
    accuracies = [value for name, value in evaluation.items() if _ACCURACY in name]
    kept = [step for step in steps if "kalman/tokens" in step]
    tokens = [step["kalman/tokens"] for step in kept]
    return {
        "accuracy": math.fsum(accuracies) / len(accuracies) if accuracies else math.nan,
        "clip_fraction": _mean([step.get("kalman/clip_fraction", math.nan) for step in kept], tokens),
        "gain": _mean([step.get("kalman/gain_mean", math.nan) for step in kept], tokens),
    }


def arm_objectives(*, trials: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The objectives of an arm: means over its trials, one a seed."""
    return {name: math.fsum(trial[name] for trial in trials) / len(trials) for name in trials[0]}


def _mean(values: list[float], weights: list[float]) -> float:
    whole = math.fsum(weights)
    return math.fsum(v * w for v, w in zip(values, weights, strict=True)) / whole if whole else math.nan
