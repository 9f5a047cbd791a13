r"""The variance between training seeds, pooled over the arms of a study.

With the accuracy :math:`m_{as}` of arm a with seed s (the mean over problems and benchmarks) in a two-way table of A
arms and S seeds,

.. math:: m_{as} = \alpha_a + \beta_s + e_{as}, \qquad
   \hat\sigma^2 = \frac{\sum e_{as}^2}{(A-1)(S-1)},

a difference of two arms on S common seeds varies by :math:`2\hat\sigma^2/S`, known with (A-1)(S-1) degrees of freedom
in place of S - 1. What a seed does to all arms alike (:math:`\beta`, the same prompts in the same order) falls out of
the difference and of the residual. Cells may be missing; degrees of freedom are then those of the least-squares fit.

It assumes that seeds move every arm alike. Bartlett's test of the arms' residuals looks for the contrary, and with few
seeds finds large departures alone: if one arm's seeds vary four times as much in variance, its comparisons reject 10 to
15 % of true nulls at 5 % (`benchmarks/calibration.md`). So the separate result stands beside the pooled one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.crossed import SeedSpread
from reports.statistics.verdicts import BenchmarkCounts

Floats = npt.NDArray[np.float64]
# A deviation that is no larger is the rounding of 0, of which Bartlett's test would make certainty.
_NOTHING = 1e-12


@dataclass(frozen=True)
class PooledSeedVariance:
    """What the arms of a study have in common.

    Attributes:
        variance: Of an arm's accuracy between seeds, beyond what a seed does to all arms.
        degrees_of_freedom: With which it is known.
        arms: Arms that it is pooled over.
        deviations: Standard deviation of each of these arms' own residuals, scaled to estimate the same (A,).
        p_alike: Bartlett's p that they vary alike; NaN with two arms, whose residuals mirror each other.
    """

    variance: float
    degrees_of_freedom: float
    arms: int
    deviations: tuple[float, ...]
    p_alike: float

    @property
    def of_difference(self) -> SeedSpread:
        """How much the difference of two arms varies with a common seed."""
        return SeedSpread(2.0 * self.variance, self.degrees_of_freedom)


def pooled_seed_variance(*, means: npt.ArrayLike) -> PooledSeedVariance | None:
    """From the accuracy of each arm with each seed.

    Args:
        means: Shares (A, S), NaN where an arm lacks a seed. Arms that came out alike in every seed count once: they are
            the same training twice.

    Returns:
        None where there is nothing to pool: fewer than two arms with two seeds.
    """
    table = np.unique(np.atleast_2d(np.asarray(means, dtype=np.float64)), axis=0)
    table = table[np.isfinite(table).sum(axis=1) > 1]
    arm, seed = np.nonzero(np.isfinite(table))
    if len(table) < 2:
        return None
    seeds = np.unique(seed)
    design = np.column_stack([np.equal.outer(arm, np.arange(len(table))), np.equal.outer(seed, seeds[1:])]).astype(
        float
    )
    freedom = len(arm) - int(np.linalg.matrix_rank(design))
    if freedom < 1:
        return None
    values = table[arm, seed]
    rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    groups = [rest[arm == place] for place in range(len(table))]
    # An arm's residuals have lost their share of the degrees of freedom.
    lost = freedom / len(arm)
    deviations = tuple(math.sqrt(float((group**2).mean()) / lost) for group in groups)
    alike = math.nan
    if len(groups) > 2 and min(deviations) > _NOTHING:
        alike = float(stats.bartlett(*groups).pvalue)
    return PooledSeedVariance(float((rest**2).sum()) / freedom, float(freedom), len(table), deviations, alike)


def accuracy_of_seeds(*, benchmarks: Sequence[BenchmarkCounts]) -> Floats:
    """Accuracy of each arm with each seed, the mean over benchmarks, (A, S).

    Args:
        benchmarks: From `by_benchmark`; an arm or seed that some benchmark lacks, or that lacks some of its problems,
            is NaN there.
    """
    arms = list(dict.fromkeys(arm for one in benchmarks for arm in one.arms))
    seeds = sorted({seed for one in benchmarks for seed in one.seeds})
    total = np.zeros((len(arms), len(seeds)))
    for one in benchmarks:
        means = np.full_like(total, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            # 0/0 where a problem is missing makes the whole mean NaN.
            own = (one.correct / one.samples).mean(axis=2)
        means[np.ix_([arms.index(arm) for arm in one.arms], [seeds.index(seed) for seed in one.seeds])] = own
        total += means
    return total / len(benchmarks)
