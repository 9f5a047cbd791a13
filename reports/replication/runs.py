"""What each run of an arm measured of a quantity that the paper prints: one number a training seed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

_FRACTION, _TOKENS = "kalman/clip_fraction", "kalman/tokens"
_KURTOSIS, _LARGEST = "innovation/kurtosis", "innovation/max_abs"
# Half a token, so that a run in which none was clipped does not stand for never.
_LEAST_COUNT = 0.5


@dataclass(frozen=True)
class Runs:
    """One number a run.

    Attributes:
        values: By training seed.
        noise: Variance of one run that is known from within it; 0 where nothing is.
        geometric: Whether the quantity is positive and spreads over orders of magnitude.
    """

    values: "pd.Series[float]"
    noise: float = 0.0
    geometric: bool = False

    def __sub__(self, other: "Runs") -> "Runs":
        """The differences of runs with the same seed."""
        return Runs((self.values - other.values).dropna(), self.noise + other.noise)


NOTHING = Runs(pd.Series(dtype=np.float64))


def accuracy_runs(verdicts: pd.DataFrame, *, samples: int | None, problems: int | None) -> tuple[Runs, Runs]:
    r"""avg@k and pass@k of an arm on a benchmark.

    Of a run whose policy is given, the answers to problem p are right with probability p_p; with the runs' mean for it,

    .. math:: v_{avg} = \sum_p p_p (1 - p_p) / (k G^2), \quad v_{pass} = \sum_p q_p (1 - q_p) / G^2, \quad
        q_p = (1 - p_p)^k

    Args:
        verdicts: Rows of `verdict_counts` of one arm and benchmark.
        samples: The k of the paper; with another one, pass@k is another quantity and left out.
        problems: Problems of the paper's benchmark; with others, nothing is the same quantity.
    """
    if verdicts.empty or verdicts["problem_id"].nunique() != problems:
        return NOTHING, NOTHING
    by_seed = verdicts.groupby("seed")
    shares = verdicts.assign(share=verdicts["correct"] / verdicts["samples"], any=verdicts["correct"] > 0)
    p = verdicts.groupby("problem_id")[["correct", "samples"]].sum()
    right = (p["correct"] / p["samples"]).to_numpy(np.float64)
    k = float(by_seed["samples"].first().mean())
    average = Runs(shares.groupby("seed")["share"].mean(), float((right * (1 - right)).sum() / k / right.size**2))
    if samples is None or (verdicts["samples"] != samples).any():
        return average, NOTHING
    none = (1 - right) ** samples
    return average, Runs(shares.groupby("seed")["any"].mean(), float((none * (1 - none)).sum() / none.size**2))


def kurtosis_at(steps: pd.DataFrame, step: int) -> Runs:
    """Kurtosis of the innovations of a training step."""
    return Runs(_at(steps, _KURTOSIS, step), geometric=True)


def largest_at(steps: pd.DataFrame, step: int) -> Runs:
    """Largest |innovation| of a training step, over all its tokens."""
    return Runs(_at(steps, _LARGEST, step), geometric=True)


def clipped_at(steps: pd.DataFrame, step: int) -> Runs:
    """Share of clipped tokens of a training step."""
    return _clipped(steps[steps["step"] == step])


def clipped_in_run(steps: pd.DataFrame) -> Runs:
    """Share of clipped tokens of a whole run."""
    return _clipped(steps)


def most_clipped_step(steps: pd.DataFrame) -> Runs:
    """The largest share of clipped tokens that a step of a run had."""
    noise = _clipped(steps[steps["step"] == steps["step"].min()]).noise
    return Runs(_over_steps(steps, _FRACTION, "max"), noise)


def gain_in_run(steps: pd.DataFrame) -> Runs:
    """Realised Kalman gain, the mean over all tokens of a run."""
    return Runs(_by_token(steps, "kalman/gain_mean"), geometric=True)


def largest_in_run(steps: pd.DataFrame) -> Runs:
    """Largest |innovation| of a run."""
    return Runs(_over_steps(steps, _LARGEST, "max"), geometric=True)


def lowest_kurtosis(steps: pd.DataFrame) -> Runs:
    """The smallest kurtosis that a step of a run had."""
    return Runs(_over_steps(steps, _KURTOSIS, "min"), geometric=True)


def highest_kurtosis(steps: pd.DataFrame) -> Runs:
    """The largest kurtosis that a step of a run had."""
    return Runs(_over_steps(steps, _KURTOSIS, "max"), geometric=True)


def threshold_over_largest(threshold: float) -> Callable[[pd.DataFrame], Runs]:
    """How many times the largest |innovation| of a run a threshold is."""

    def of(steps: pd.DataFrame) -> Runs:
        return Runs(threshold / _over_steps(steps, _LARGEST, "max"), geometric=True)

    return of


def _at(steps: pd.DataFrame, metric: str, step: int) -> "pd.Series[float]":
    there = steps[steps["step"] == step]
    return there.set_index("seed")[metric].dropna() if metric in there else NOTHING.values


def _over_steps(steps: pd.DataFrame, metric: str, how: str) -> "pd.Series[float]":
    return steps.groupby("seed")[metric].agg(how).dropna() if metric in steps else NOTHING.values


def _clipped(steps: pd.DataFrame) -> Runs:
    """Clipped tokens over tokens; counting c of n tokens has the variance c / n^2, with c at least `_LEAST_COUNT`."""
    fractions = _by_token(steps, _FRACTION)
    if fractions.empty:
        return NOTHING
    tokens = steps.groupby("seed")[_TOKENS].sum().loc[fractions.index].to_numpy(np.float64)
    count = max(float((fractions.to_numpy() * tokens).mean()), _LEAST_COUNT)
    return Runs(fractions, count / float(tokens.mean()) ** 2)


def _by_token(steps: pd.DataFrame, metric: str) -> "pd.Series[float]":
    if metric not in steps or _TOKENS not in steps:
        return NOTHING.values
    there = steps.dropna(subset=[metric, _TOKENS])
    sums = there.assign(product=there[metric] * there[_TOKENS]).groupby("seed")[["product", _TOKENS]].sum()
    return (sums["product"] / sums[_TOKENS]).rename(None)
