r"""Means over training seeds and problems at once: every problem was answered by the model of every seed.

The model is :math:`y_{sg} = \mu + u_s + v_g + w_{sg}` with S seeds and G problems; w holds the sampling of the answers
too. With the mean squares of the two-way table (:math:`MS_s` between seeds, :math:`MS_g` between problems,
:math:`MS_r` of the rest),

.. math:: \widehat{Var}(\bar y) = \underbrace{\frac{MS_s}{SG}}_{V_s}
   + \underbrace{\frac{(MS_g - MS_r)_+}{SG}}_{V_g}, \qquad f = \frac{V_s}{V_s + V_g}.

The variance is that of Cameron, Gelbach & Miller (2011), "Robust Inference with Multiway Clustering", and of Clark
(1973), "The Language-as-Fixed-Effect Fallacy", whose quasi-F it is. A sum of two variances, one of few degrees of
freedom (seeds - 1) and one of many (problems), has no exact test: quantiles and p are those of
`reports.statistics.two_variances`, as the share f of the first goes.

With one seed the variance is that over problems and speaks of the one trained model alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.statistics.two_variances import LEVEL, freedom_of_sum, p_of_sum

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Variance components: the variance of a mean over S seeds and G problems is seed/S + problem/G + residual/(SG).

    Attributes:
        seed: Between training seeds, beyond what sampling explains; NaN with one seed.
        problem: Between problems; with one seed all of the variance.
        residual: Seed by problem, and the sampling of answers; 0 with one seed.
    """

    seed: float
    problem: float
    residual: float


@dataclass(frozen=True)
class CrossedEstimate:
    """A mean over seeds and problems with its interval and test against 0.

    Attributes:
        value: The mean.
        low: Lower end of the interval; NaN where none can be given.
        high: Upper end.
        standard_error: Over seeds and problems; with one seed over problems.
        degrees_of_freedom: Those of its t distribution; with two seeds, of the one with the same quantile.
        p: Two-sided, against 0.
        problems: G, over all benchmarks.
        seeds: S.
        seed_sd: Standard deviation (n - 1) of the seeds' own means; NaN with one seed.
        components: Variance components, for planning.
    """

    value: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float
    p: float
    problems: int
    seeds: int
    seed_sd: float
    components: Components


def crossed_mean(*, blocks: Sequence[npt.ArrayLike]) -> CrossedEstimate:
    """Mean over seeds and problems by the formula above; of several benchmarks, the mean of their means.

    Benchmarks are fixed and count alike, their problems are independent, and seeds are shared between them. With one
    seed and one benchmark this is the paired t test over problems, which takes out what makes problems hard or easy for
    every arm alike (Miller 2024, arXiv 2411.00640, section 4.2).

    Args:
        blocks: For each benchmark its values (S, G_b), rows in the same order of seeds: shares, or differences between
            two arms on the same seed and problem.

    Returns:
        Interval and p are NaN where they cannot be had: a benchmark of one problem, or no variance around a mean other
        than 0. Where every value is 0, p is 1.

    Raises:
        ValueError: No value, or benchmarks with different numbers of seeds.
    """
    tables = [np.atleast_2d(np.asarray(block, dtype=np.float64)) for block in blocks]
    if not tables or any(table.size == 0 for table in tables) or len({len(table) for table in tables}) > 1:
        shapes = [table.shape for table in tables]
        raise ValueError(f"values must be seeds x problems with the same seeds in every benchmark, got {shapes}")
    seeds, problems, count = len(tables[0]), sum(table.shape[1] for table in tables), len(tables)
    seed_means = np.mean([table.mean(axis=1) for table in tables], axis=0)
    value = float(seed_means.mean())
    if any(table.shape[1] < 2 for table in tables):
        return _without_interval(value, seed_means, problems)
    parts, residuals = np.array([_problem_variance(table) for table in tables]).T / count**2
    between_seeds = float(seed_means.var(ddof=1)) / seeds if seeds > 1 else 0.0
    between_problems = max(0.0, float(parts.sum()))
    variance = between_seeds + between_problems
    if variance < 1e-24:
        return _without_interval(value, seed_means, problems, p=1.0 if abs(value) < 1e-12 else math.nan)
    share = between_seeds / variance
    of_problems = _welch(parts, [table.shape[1] for table in tables])
    error = math.sqrt(variance)
    if seeds > 1:
        degrees = {"share": share, "few": seeds - 1.0, "many": of_problems}
        freedom, p = freedom_of_sum(**degrees), p_of_sum(t=value / error, **degrees)
    else:
        freedom = of_problems
        p = 2.0 * float(special.stdtr(freedom, -abs(value) / error))
    half = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * error
    sampling = float(residuals.sum())
    components = Components(
        seed=seeds * max(0.0, between_seeds - sampling) if seeds > 1 else math.nan,
        problem=problems * between_problems,
        residual=seeds * problems * sampling,
    )
    spread = _seed_spread(seed_means)
    return CrossedEstimate(value, value - half, value + half, error, freedom, p, problems, seeds, spread, components)


def _problem_variance(table: Floats) -> tuple[float, float]:
    """(MS_g - MS_r)/(SG) and MS_r/(SG); with one seed MS_g/G and 0."""
    seeds, problems = table.shape
    of_problems = table.mean(axis=0)
    between = float(of_problems.var(ddof=1)) / problems
    if seeds == 1:
        return between, 0.0
    rest = table - of_problems - table.mean(axis=1, keepdims=True) + table.mean()
    residual = float((rest**2).sum()) / ((seeds - 1) * (problems - 1) * seeds * problems)
    return between - residual, residual


def _welch(parts: Floats, problems: list[int]) -> float:
    """Degrees of freedom of a sum of independent variances (Welch 1947)."""
    positive, freedom = np.maximum(parts, 0.0), np.array(problems) - 1.0
    if not positive.any():
        return float(freedom.sum())
    return float(positive.sum() ** 2 / (positive**2 / freedom).sum())


def _seed_spread(seed_means: Floats) -> float:
    return float(seed_means.std(ddof=1)) if len(seed_means) > 1 else math.nan


def _without_interval(value: float, seed_means: Floats, problems: int, p: float = math.nan) -> CrossedEstimate:
    end, error = (value, 0.0) if p == 1.0 else (math.nan, math.nan)
    nothing = Components(math.nan, math.nan, math.nan)
    spread = _seed_spread(seed_means)
    return CrossedEstimate(value, end, end, error, math.nan, p, problems, len(seed_means), spread, nothing)
