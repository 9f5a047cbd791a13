"""Accuracy of one arm, with the problem as the unit: avg@k, pass@k and their intervals.

Samples of one problem are not independent, so a standard error over samples is too small. Averages are taken within
each problem first and the spread is taken over problems (Miller 2024, "Adding Error Bars to Evals", arXiv 2411.00640,
sections 2.1 and 2.2). How arms are compared is in `reports/statistics/comparison.py`.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import statsmodels.api as sm
from scipy import stats

from sweep.store.trial_tables import pass_at_k as pass_at_k_of_one_problem

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A share, or a difference of shares, with its interval.

    Attributes:
        value: The estimate: 0 to 1, or -1 to 1 for a difference.
        low: Lower end of the 95 % interval; NaN where none can be given.
        high: Upper end.
        standard_error: Standard error over problems, in the same unit.
        problems: Number of problems.
    """

    value: float
    low: float
    high: float
    standard_error: float
    problems: int


def average_at_k(*, correct: npt.ArrayLike, problem: npt.ArrayLike) -> Estimate:
    r"""avg@k with a cluster-robust interval over problems.

    With :math:`\bar x_g` the share of right samples of problem g = 1..G,

    .. math:: \hat\mu = \frac1G \sum_g \bar x_g, \qquad
       \widehat{SE}^2 = \frac{1}{G(G-1)} \sum_g (\bar x_g - \hat\mu)^2, \qquad
       \hat\mu \pm t_{0.975,\,G-1}\,\widehat{SE}, \text{ cut to } [0, 1].

    Computed as a regression of the verdicts on a constant (statsmodels WLS, ``cov_type="cluster"``), each sample
    weighted by one over its problem's number of samples, so that problems count alike even if some have more samples.

    Where every problem came out all wrong, or all right, the spread is 0 and says nothing. The interval's inner end is
    then exact: since P(all samples of g wrong) <= 1 - mu_g, an accuracy above 1 - 0.025^(1/G) would have been seen.

    Args:
        correct: Verdicts of the n samples, boolean (n,).
        problem: The problem of each sample (n,).

    Returns:
        Shares from 0 to 1. One problem has no interval: its ends and standard error are NaN.

    Raises:
        ValueError: No sample, or a sample without a problem.
    """
    values, groups = np.asarray(correct, dtype=np.float64), pd.factorize(np.asarray(problem))[0]
    if values.size == 0 or (groups < 0).any():
        raise ValueError("accuracy needs at least one sample, and the problem of every sample")
    sizes = np.bincount(groups)
    count = len(sizes)
    if count == 1:
        return Estimate(float(values.mean()), math.nan, math.nan, math.nan, 1)
    fit = sm.WLS(values, np.ones_like(values), weights=1.0 / sizes[groups]).fit(
        cov_type="cluster", cov_kwds={"groups": groups}
    )
    mean, error = float(fit.params[0]), float(fit.bse[0])
    unseen = 1.0 - ((1.0 - LEVEL) / 2) ** (1.0 / count)
    if not values.any():
        return Estimate(0.0, 0.0, unseen, 0.0, count)
    if values.all():
        return Estimate(1.0, 1.0 - unseen, 1.0, 0.0, count)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * error
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), error, count)


def pass_at_k(*, correct: npt.ArrayLike, problem: npt.ArrayLike, k: int) -> float:
    r"""Mean over problems of :math:`1 - \binom{n-c}{k}/\binom{n}{k}`: n samples, c right (Chen et al. 2021).

    The unbiased estimator of arXiv 2107.03374, section 2.1; for k = n the share of problems solved at least once.

    Args:
        correct: Verdicts of the samples, boolean (n,).
        problem: The problem of each sample (n,).
        k: Samples drawn; no more than any problem has.
    """
    counts = pd.Series(np.asarray(correct, dtype=np.int64)).groupby(np.asarray(problem)).agg(["sum", "count"])
    shares = [
        pass_at_k_of_one_problem(correct=int(right), samples=int(total), k=k)
        for right, total in zip(counts["sum"], counts["count"], strict=True)
    ]
    return float(np.mean(shares))


def final_samples(*, samples: pd.DataFrame) -> pd.DataFrame:
    """The last evaluation of each trial and benchmark."""
    if samples.empty:
        return samples
    return samples[samples["step"] == samples.groupby(["trial", "benchmark"])["step"].transform("max")]
