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

Neither sum can be less than the variance of w alone, :math:`MS_r / (SG)`. Estimates can: seeds that happen to offset
each other leave 0, an interval without width and certainty out of noise. There the floor stands in.

Values that are all 0, arms that agree on every problem, have no variance to go by. They still bound the difference,
which is at most the share of problems on which the arms would differ: G problems without one are seen with a chance of
5 % where that share is :math:`1 - 0.05^{1/G} \approx -\ln 0.05 / G` (the "rule of three"). The interval is plus and
minus that.

With one seed the variance is that over problems and speaks of the one trained model alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.statistics.two_variances import LEVEL, critical_value, freedom_of_sum, p_of_sum

Floats = npt.NDArray[np.float64]
# Values no larger are rounding of 0.
_NOTHING = 1e-12


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
        of_seeds: The share of the variance that is known from few seeds, its degrees of freedom, and those of the rest;
            NaN with one seed.
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
    of_seeds: tuple[float, float, float] = (math.nan, math.nan, math.nan)

    def ends(self, *, level: float) -> tuple[float, float]:
        """The interval that misses the truth with a probability of `level`; `low` and `high` at 1 - `LEVEL`.

        Args:
            level: 0 to 1, for instance that of one of many simultaneous intervals.
        """
        if self.identical:
            # The rule of three: the logarithm of the level over the number of problems.
            bound = min(1.0, self.high * math.log(level) / math.log(1 - LEVEL))
            return -bound, bound
        share, few, many = self.of_seeds
        if math.isnan(share):
            critical = -float(special.stdtrit(self.degrees_of_freedom, level / 2))
        else:
            critical = critical_value(level=level, share=share, few=few, many=many)
        return self.value - critical * self.standard_error, self.value + critical * self.standard_error

    @property
    def identical(self) -> bool:
        """Whether every value was 0: what is compared agreed on all of its problems."""
        return self.p == 1.0 and math.isnan(self.standard_error)


@dataclass(frozen=True)
class SeedSpread:
    """How much the mean of a table's row varies with its training seed, known from more than the table.

    Attributes:
        variance: Of a row's mean, sampling of answers included.
        degrees_of_freedom: With which it is known.
    """

    variance: float
    degrees_of_freedom: float


def crossed_mean(*, blocks: Sequence[npt.ArrayLike], spread: SeedSpread | None = None) -> CrossedEstimate:
    """Mean over seeds and problems by the formula above; of several benchmarks, the mean of their means.

    Benchmarks are fixed and count alike, their problems are independent, and seeds are shared between them. With one
    seed and one benchmark this is the paired t test over problems, which takes out what makes problems hard or easy for
    every arm alike (Miller 2024, arXiv 2411.00640, section 4.2).

    Args:
        blocks: For each benchmark its values (S, G_b), rows in the same order of seeds: shares, or differences between
            two arms on the same seed and problem.
        spread: Takes the place of what these rows show of their seeds, where there are several.

    Returns:
        Interval and p are NaN where they cannot be had: a benchmark of one problem, or no variance around a mean other
        than 0. Where every value is 0, p is 1, the interval the bound above, and there is no standard error.

    Raises:
        ValueError: No value, or benchmarks with different numbers of seeds.
    """
    tables = _tables(blocks)
    seed_means = np.mean([table.mean(axis=1) for table in tables], axis=0)
    seeds = len(seed_means)
    if seeds > 1:
        spread = spread or SeedSpread(float(seed_means.var(ddof=1)), seeds - 1.0)
    between = (spread.variance / seeds, spread.degrees_of_freedom) if spread and seeds > 1 else None
    return _estimate(
        value=float(seed_means.mean()),
        seed_means=seed_means,
        between_seeds=between,
        parts=[_problem_variance(table) for table in tables],
        problems=[table.shape[1] for table in tables],
        identical=all(np.abs(table).max() < _NOTHING for table in tables),
    )


def independent_difference(*, treated: Sequence[npt.ArrayLike], reference: Sequence[npt.ArrayLike]) -> CrossedEstimate:
    r"""Difference of two arms on the same problems that have no training seed in common.

    As above, with the seeds' part of each arm by itself, as in Welch's test, and its degrees of freedom:

    .. math:: V_s = \frac{s_1^2}{S_1} + \frac{s_2^2}{S_2}, \qquad
       \nu_1 = V_s^2 \Big/ \left(\frac{(s_1^2/S_1)^2}{S_1 - 1} + \frac{(s_2^2/S_2)^2}{S_2 - 1}\right),

    with :math:`s^2` the variance of an arm's means over its seeds. Where an arm has one seed alone, nothing is known of
    its seeds, and the estimate speaks of the trained models: `seeds` is 1.

    Args:
        treated: Shares (S_1, G_b) of each benchmark.
        reference: Shares (S_2, G_b) on the same problems.
    """
    arms = [_tables(blocks) for blocks in (treated, reference)]
    if min(len(tables[0]) for tables in arms) == 1:
        return crossed_mean(blocks=[x.mean(axis=0) - y.mean(axis=0) for x, y in zip(*arms, strict=True)])
    means = [np.mean([table.mean(axis=1) for table in tables], axis=0) for tables in arms]
    own = np.array([of_arm.var(ddof=1) / len(of_arm) for of_arm in means])
    parts = []
    for x, y in zip(*arms, strict=True):
        residual = _problem_variance(x)[1] + _problem_variance(y)[1]
        between = float((x.mean(axis=0) - y.mean(axis=0)).var(ddof=1)) / x.shape[1] if x.shape[1] > 1 else math.nan
        parts.append((between - residual, residual))
    few = _welch(own, [len(of_arm) for of_arm in means])
    return _estimate(
        value=float(means[0].mean() - means[1].mean()),
        seed_means=np.concatenate([of_arm - of_arm.mean() for of_arm in means]),
        between_seeds=(float(own.sum()), few),
        parts=parts,
        problems=[table.shape[1] for table in arms[0]],
        identical=False,
        seeds=min(len(of_arm) for of_arm in means),
    )


def _tables(blocks: Sequence[npt.ArrayLike]) -> list[Floats]:
    tables = [np.atleast_2d(np.asarray(block, dtype=np.float64)) for block in blocks]
    if not tables or any(table.size == 0 for table in tables) or len({len(table) for table in tables}) > 1:
        shapes = [table.shape for table in tables]
        raise ValueError(f"values must be seeds x problems with the same seeds in every benchmark, got {shapes}")
    return tables


def _estimate(
    *,
    value: float,
    seed_means: Floats,
    between_seeds: tuple[float, float] | None,
    parts: list[tuple[float, float]],
    problems: list[int],
    identical: bool,
    seeds: int | None = None,
) -> CrossedEstimate:
    """From the seeds' part of the variance with its degrees of freedom, None with one seed, and each benchmark's."""
    seeds = seeds or len(seed_means)
    spread = float(seed_means.std(ddof=1)) if len(seed_means) > 1 else math.nan
    total, count = sum(problems), len(problems)
    if min(problems) < 2 or identical:
        rule_of_three = min(1.0, -math.log(1 - LEVEL) / (count * min(problems)))
        return _without_error(value, total, seeds, spread, bound=rule_of_three if min(problems) > 1 else math.nan)
    of_problems, residuals = np.array(parts).T / count**2
    of_seeds, few = between_seeds or (0.0, math.nan)
    between_problems, sampling = max(0.0, float(of_problems.sum())), float(residuals.sum())
    variance = max(of_seeds + between_problems, sampling)
    if variance < _NOTHING**2:
        return _without_error(value, total, seeds, spread, bound=math.nan)
    error, many = math.sqrt(variance), _welch(of_problems, problems)
    if between_seeds:
        degrees = {"share": of_seeds / variance, "few": few, "many": many}
        freedom, p = freedom_of_sum(**degrees), p_of_sum(t=value / error, **degrees)
        known = (of_seeds / variance, few, many)
    else:
        known = (math.nan, math.nan, math.nan)
        freedom, p = many, 2.0 * float(special.stdtr(many, -abs(value) / error))
    half = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * error
    components = Components(
        seed=seeds * max(0.0, of_seeds - sampling) if between_seeds else math.nan,
        problem=total * between_problems,
        residual=seeds * total * sampling,
    )
    return CrossedEstimate(
        value, value - half, value + half, error, freedom, p, total, seeds, spread, components, known
    )


def _without_error(value: float, problems: int, seeds: int, spread: float, *, bound: float) -> CrossedEstimate:
    nothing = Components(math.nan, math.nan, math.nan)
    p = math.nan if math.isnan(bound) else 1.0
    return CrossedEstimate(value, -bound, bound, math.nan, math.nan, p, problems, seeds, spread, nothing)


def _problem_variance(table: Floats) -> tuple[float, float]:
    """(MS_g - MS_r)/(SG) and MS_r/(SG); with one seed MS_g/G and 0; NaN with one problem."""
    seeds, problems = table.shape
    if problems < 2:
        return math.nan, math.nan
    of_problems = table.mean(axis=0)
    between = float(of_problems.var(ddof=1)) / problems
    if seeds == 1:
        return between, 0.0
    rest = table - of_problems - table.mean(axis=1, keepdims=True) + table.mean()
    residual = float((rest**2).sum()) / ((seeds - 1) * (problems - 1) * seeds * problems)
    return between - residual, residual


def _welch(parts: Floats, sizes: list[int]) -> float:
    """Degrees of freedom of a sum of independent variances, each of a mean of so many (Welch 1947)."""
    positive, freedom = np.maximum(parts, 0.0), np.array(sizes) - 1.0
    if not positive.any():
        return float(freedom.sum())
    return float(positive.sum() ** 2 / (positive**2 / freedom).sum())
