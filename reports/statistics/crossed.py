r"""Means over training seeds and problems at once: every problem was answered by the model of every seed.

The model is :math:`y_{sg} = \mu + u_s + v_g + w_{sg}` with S seeds and G problems; w holds the sampling of the answers
too. With the mean squares of the two-way table (:math:`MS_s` between seeds, :math:`MS_g` between problems,
:math:`MS_r` of the rest),

.. math:: \widehat{Var}(\bar y) = \underbrace{\frac{MS_s}{SG}}_{V_s}
   + \underbrace{\frac{(MS_g - MS_r)_+}{SG}}_{V_g}, \qquad
   \frac1\nu = \frac{(3 - 2f) f^2}{S-1} + \frac{(1-f)^2}{G-1}, \quad f = \frac{V_s}{V_s + V_g}.

The variance is that of Cameron, Gelbach & Miller (2011), "Robust Inference with Multiway Clustering", and of Clark
(1973), "The Language-as-Fixed-Effect Fallacy", whose quasi-F it is. The degrees of freedom are not theirs:
they are those of a sum of two variances, one of few degrees of freedom :math:`\nu_1` (seeds - 1) and one of many
:math:`\nu_2` (problems), for which two rules stand here:

- from two degrees of freedom on Student's t with the :math:`\nu` above;
- with one (two seeds) Cochran & Cox's critical value :math:`f\,t_{\nu_1} + (1-f)\,t_{\nu_2}` (Cochran & Cox 1957,
  "Experimental Designs", section 4.14; Cochran 1964, "Approximate significance levels of the Behrens-Fisher test").

No rule is exact for all shares at once: that is the Behrens-Fisher problem. f is not known but estimated, from little
where :math:`\nu_1` is small. Satterthwaite's degrees of freedom, which are those above without the factor 3 - 2f, then
reject up to 8 % of true nulls at 5 %; the harmonic mean of both, weighted by their shares, between 3.7 and 5.8 %. The
factor is ours: 1 where the first variance is all of it, and Student's t is right as it is, and 3 where it is little. By
quadrature over what f can be seen as (`tests/reports/statistics/test_crossed.py`) it rejects 4.3 to 5.6 % for every
true share, from two degrees of freedom on. With one it would reject up to 10 %, and Cochran and Cox's stays between 2
and 6 %. Simulated studies are in `benchmarks/calibration.md`.

With one seed the variance is that over problems and speaks of the one trained model alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

Floats = npt.NDArray[np.float64]
# Confidence level of every interval that this package gives.
LEVEL = 0.95
# Below this many degrees of freedom the share of the variance cannot be trusted.
_TOO_FEW = 1.5
_LARGEST = 1e9
# The smallest tail whose quantile scipy computes for all degrees of freedom; p below is given as 0.
_LOWEST = 1e-200


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


def freedom_of_sum(*, share: float, few: float, many: float) -> float:
    """Degrees of freedom of Student's t with which the sum is tested, two-sided, at 1 - `LEVEL`.

    Args:
        share: The part of the variance that is the estimate with few degrees of freedom, 0 to 1.
        few: Its degrees of freedom.
        many: Those of the other.
    """
    if few >= _TOO_FEW:
        return 1.0 / ((3.0 - 2.0 * share) * share**2 / few + (1.0 - share) ** 2 / many)
    critical = _critical(share, few, many, (1.0 - LEVEL) / 2)
    low, high = min(few, many), max(few, many, _LARGEST)

    def above(logarithm: float) -> float:
        return -float(special.stdtrit(math.exp(logarithm), (1.0 - LEVEL) / 2)) - critical

    # The value lies between those of the two, so the root is bracketed but for rounding at share 0 and 1.
    if above(math.log(low)) <= 0:
        return low
    if above(math.log(high)) >= 0:
        return high
    return math.exp(float(optimize.brentq(above, math.log(low), math.log(high), xtol=1e-13)))


def p_of_sum(*, t: float, share: float, few: float, many: float) -> float:
    """Two-sided p of a mean that is t standard errors from 0: the level at which the critical value is |t|.

    Args:
        t: The mean over its standard error.
        share: As for `freedom_of_sum`.
        few: As for `freedom_of_sum`.
        many: As for `freedom_of_sum`.
    """
    if few >= _TOO_FEW:
        return 2.0 * float(special.stdtr(freedom_of_sum(share=share, few=few, many=many), -abs(t)))
    if t == 0:
        return 1.0
    if _critical(share, few, many, _LOWEST) <= abs(t):
        return 0.0
    tail = optimize.brentq(
        lambda log: _critical(share, few, many, math.exp(log)) - abs(t), math.log(_LOWEST), math.log(0.5)
    )
    return 2.0 * math.exp(float(tail))


def _critical(share: float, few: float, many: float, tail: float) -> float:
    return -(share * float(special.stdtrit(few, tail)) + (1.0 - share) * float(special.stdtrit(many, tail)))
