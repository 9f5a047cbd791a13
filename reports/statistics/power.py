"""What this study could have seen, and how large the next one has to be: two-sided t tests at 5 % with 80 % power."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from reports.statistics.crossed import Components
from reports.statistics.two_variances import critical_value, freedom_of_sum

POWER = 0.8
ALPHA = 0.05
_SEEDS = range(2, 65)


def minimum_detectable_effect(*, standard_error: float, degrees_of_freedom: float) -> float:
    r"""The true difference that a t test with this standard error would have found.

    :math:`\delta = \lambda\,SE` with the noncentrality that solves :math:`P(T_\nu(\lambda) > t_{1-\alpha/2,\nu}) =
    power`; rejections on the wrong side are left out. The degrees of freedom are taken as known.

    Returns:
        In the unit of the standard error; NaN where there is none.
    """
    if not (math.isfinite(standard_error) and math.isfinite(degrees_of_freedom)):
        return math.nan
    critical = float(special.stdtrit(degrees_of_freedom, 1 - ALPHA / 2))
    return float(special.nctdtrinc(degrees_of_freedom, 1 - POWER, critical)) * standard_error


def detectable_with(*, components: Components, seeds: int, problems: int) -> float:
    r"""Minimum detectable difference of a study of S seeds and G problems, from the variance components of this one.

    .. math:: SE^2 = \sigma_u^2/S + \sigma_v^2/G + \sigma_w^2/(SG), \qquad
       f = \left(\sigma_u^2/S + \sigma_w^2/(SG)\right) / SE^2

    and the degrees of freedom of `reports.statistics.crossed` for the share f.

    Args:
        components: Those of a paired difference. One seed leaves `components.seed` NaN: then only `seeds` = 1 can be
            planned, and speaks of the trained models alone.
        seeds: S.
        problems: G, at least 2.

    Returns:
        In the unit of the difference; NaN where seeds cannot be planned.
    """
    if seeds == 1:
        variance = (components.problem + components.residual) / problems
        return minimum_detectable_effect(standard_error=math.sqrt(variance), degrees_of_freedom=problems - 1.0)
    if not math.isfinite(components.seed):
        return math.nan
    between_seeds = components.seed / seeds + components.residual / (seeds * problems)
    variance = between_seeds + components.problem / problems
    if variance == 0.0:
        return 0.0
    freedom = freedom_of_sum(share=between_seeds / variance, few=seeds - 1.0, many=problems - 1.0)
    return minimum_detectable_effect(standard_error=math.sqrt(variance), degrees_of_freedom=freedom)


@dataclass(frozen=True)
class PlannedPrecision:
    """What a comparison of a study that has not run will be able to tell, in the unit of the difference.

    Attributes:
        half_width: Of its 95 % interval.
        detectable: Difference found with 80 % power at the level after correction.
    """

    half_width: float
    detectable: float


def planned_precision(
    *, components: Components, seeds: int, problems: int, comparisons: int, few: float
) -> PlannedPrecision:
    """Precision of a paired difference with variances that are assumed, at the expected share of the seeds' variance.

    As in `minimum_detectable_effect`, with the critical value of `reports.statistics.two_variances` at the first level
    of Holm's correction over m comparisons.

    Args:
        components: Of the difference; with one seed its `seed` has no part.
        seeds: S.
        problems: G.
        comparisons: m.
        few: Degrees of freedom of the seeds' variance: S - 1, or those of a pooled one.
    """
    level = ALPHA / max(1, comparisons)
    of_seeds = (components.seed + components.residual / problems) / seeds if seeds > 1 else 0.0
    of_problems = (components.problem + (components.residual if seeds == 1 else 0.0)) / problems
    error, many = math.sqrt(of_seeds + of_problems), problems - 1.0
    if seeds == 1:
        freedom, critical = many, float(special.stdtrit(many, 1 - level / 2))
    else:
        degrees = {"share": of_seeds / error**2, "few": few, "many": many}
        freedom, critical = freedom_of_sum(**degrees), critical_value(level=level, **degrees)
    half = float(special.stdtrit(freedom, 1 - ALPHA / 2)) * error
    return PlannedPrecision(half, float(special.nctdtrinc(freedom, 1 - POWER, critical)) * error)


def next_study(*, components: Components, effect: float, problems: Sequence[int]) -> pd.DataFrame:
    """For each number of problems the fewest training seeds with which `effect` would be found.

    Samples a problem are those of this study, their noise is in the residual. The seed variance of a few seeds is
    itself poorly known: plan with more where a miss is dear.

    Args:
        components: Those of the paired difference in this study.
        effect: Difference to be found, > 0.
        problems: Numbers of problems to consider.

    Returns:
        One row a number of problems: problems, seeds (NaN: not within 64 seeds, or seeds unknown), detectable (with so
        many seeds), one_seed_detectable (a statement about the trained models alone).
    """
    rows = []
    for count in problems:
        detectable = ((n, detectable_with(components=components, seeds=n, problems=count)) for n in _SEEDS)
        seeds, reached = next(((n, found) for n, found in detectable if found <= effect), (math.nan, math.nan))
        alone = detectable_with(components=components, seeds=1, problems=count)
        rows.append({"problems": count, "seeds": seeds, "detectable": reached, "one_seed_detectable": alone})
    return pd.DataFrame(rows).astype({"problems": np.int64})
