"""Accuracy with the problem as the unit: clustered intervals, paired comparisons, pass@k.

Samples of one problem are not independent, so a standard error over samples is too small. Averages are taken within
each problem first and the spread is taken over problems (Miller 2024, "Adding Error Bars to Evals", arXiv 2411.00640,
sections 2.1, 2.2 and 4.2).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % interval.

    Attributes:
        value: The estimate, 0 to 1, or a difference, -1 to 1.
        low: Lower end of the interval.
        high: Upper end.
        standard_error: Clustered standard error.
        problems: Number of problems.
    """

    value: float
    low: float
    high: float
    standard_error: float
    problems: int


def average_at_k(*, correct: pd.Series, problem: pd.Series, level: float = 0.95) -> Estimate:
    r"""avg@k with a cluster-robust interval over problems.

    .. math:: \hat\mu = \frac1n\sum_i x_i, \qquad
       \widehat{SE}^2 = \frac{G}{G-1}\,\frac1{n^2}\sum_{g}\Bigl(\sum_{i\in g}(x_i-\hat\mu)\Bigr)^2

    and a t interval with G - 1 degrees of freedom (statsmodels OLS on a constant with ``cov_type="cluster"``). With
    equally many samples a problem this is the mean of per-problem means and its standard error.

    Args:
        correct: Verdicts of n samples, boolean.
        problem: The problem of each sample; G of them, at least two.
        level: Confidence level.

    Raises:
        ValueError: Fewer than two problems.
    """
    groups = pd.factorize(problem)[0]
    count = int(groups.max()) + 1 if len(groups) else 0
    if count < 2:
        raise ValueError(f"an interval over problems needs at least two of them, got {count}")
    values = correct.to_numpy(dtype=np.float64)
    fit = sm.OLS(values, np.ones_like(values)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    mean, error = float(fit.params[0]), float(fit.bse[0])
    half = float(stats.t.ppf((1 + level) / 2, count - 1)) * error
    return Estimate(value=mean, low=mean - half, high=mean + half, standard_error=error, problems=count)


def pass_at_k(*, correct: pd.Series, problem: pd.Series, k: int) -> float:
    r"""Mean over problems of :math:`1 - \binom{n-c}{k}/\binom{n}{k}` (Chen et al. 2021, arXiv 2107.03374).

    Args:
        correct: Verdicts of samples, boolean.
        problem: The problem of each sample.
        k: Samples drawn; no more than any problem has.
    """
    from sweep.tracking.samples import pass_at_k as of_one_problem

    counts = correct.astype(int).groupby(problem.to_numpy()).agg(["sum", "count"])
    shares = [
        of_one_problem(correct=int(right), samples=int(total), k=k) for right, total in counts.itertuples(index=False)
    ]
    return float(np.mean(shares))


def paired_difference(*, treated: pd.DataFrame, reference: pd.DataFrame, level: float = 0.95) -> tuple[Estimate, float]:
    """Difference in avg@k between two arms on the same problems, and its two-sided p-value.

    Per-problem means are subtracted, and the differences are tested with a paired t test over problems. Seeds of an arm
    are averaged within the problem: the interval speaks about problems, not about training seeds.

    Args:
        treated: Samples with columns problem_id and correct.
        reference: The same for the arm compared with.
        level: Confidence level.

    Returns:
        Treated minus reference, and the p-value; 1 where no problem differs.

    Raises:
        ValueError: The arms were not evaluated on the same problems, or on fewer than two.
    """
    means = [frame.groupby("problem_id")["correct"].mean().sort_index() for frame in (treated, reference)]
    if not means[0].index.equals(means[1].index) or len(means[0]) < 2:
        raise ValueError("a paired comparison needs the same problems in both arms, at least two")
    difference = (means[0] - means[1]).to_numpy(dtype=np.float64)
    if np.ptp(difference) == 0:
        value = float(difference[0])
        return Estimate(value, value, value, 0.0, len(difference)), 1.0 if value == 0 else 0.0
    described = DescrStatsW(difference)
    low, high = described.tconfint_mean(alpha=1 - level)
    estimate = Estimate(
        value=float(described.mean),
        low=float(low),
        high=float(high),
        standard_error=float(described.std_mean),
        problems=len(difference),
    )
    return estimate, float(described.ttest_mean(0.0)[1])


def holm(p_values: list[float]) -> list[float]:
    """p-values adjusted for the number of comparisons (Holm 1979), which bounds the chance of any false alarm."""
    if not p_values:
        return []
    return [float(value) for value in multipletests(p_values, method="holm")[1]]
