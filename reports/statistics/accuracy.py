"""Accuracy of arms, with the problem as the unit: avg@k with its intervals, pass@k, and accuracy by group of problems.

Samples of one problem are not independent, so a standard error over samples is too small. Averages are taken within
each problem first and the spread is taken over problems (Miller 2024, "Adding Error Bars to Evals", arXiv 2411.00640,
sections 2.1 and 2.2). How arms are compared is in `reports.statistics.compare`.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import statsmodels.api as sm
from scipy import special, stats

from reports.statistics.crossed import CrossedEstimate, crossed_mean
from reports.statistics.two_variances import LEVEL
from reports.statistics.verdicts import by_benchmark, paired_shares
from sweep.tasks.pass_at_k import pass_at_every_k

ACCURACY_COLUMNS = (
    "arm", "benchmark", "accuracy", "low", "high", "standard_error", "problems", "samples", "pass_at_k", "seeds",
    "seed_sd", "seed_low", "seed_high",
)  # fmt: skip
GROUP_COLUMNS = ("arm", "group", "accuracy", "low", "high", "problems")


@dataclass(frozen=True)
class Estimate:
    """A share from 0 to 1 with its interval.

    Attributes:
        value: The estimate.
        low: Lower end of the 95 % interval; NaN where none can be given.
        high: Upper end.
        problems: Number of problems.
    """

    value: float
    low: float
    high: float
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
        Shares from 0 to 1. One problem has no interval: its ends are NaN.

    Raises:
        ValueError: No sample, or a sample without a problem.
    """
    values, groups = np.asarray(correct, dtype=np.float64), pd.factorize(np.asarray(problem))[0]
    if values.size == 0 or (groups < 0).any():
        raise ValueError("accuracy needs at least one sample, and the problem of every sample")
    sizes = np.bincount(groups)
    count = len(sizes)
    if count == 1:
        return Estimate(float(values.mean()), math.nan, math.nan, 1)
    fit = sm.WLS(values, np.ones_like(values), weights=1.0 / sizes[groups]).fit(
        cov_type="cluster", cov_kwds={"groups": groups}
    )
    mean, error = float(fit.params[0]), float(fit.bse[0])
    unseen = 1.0 - ((1.0 - LEVEL) / 2) ** (1.0 / count)
    if not values.any():
        return Estimate(0.0, 0.0, unseen, count)
    if values.all():
        return Estimate(1.0, 1.0 - unseen, 1.0, count)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * error
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), count)


def skewed_interval(*, estimate: CrossedEstimate, values: npt.ArrayLike) -> tuple[float, float]:
    r"""An interval for an accuracy that knows how skewed its problems are, cut to [0, 1].

    Where most problems are all wrong, a few right ones make both the mean and its standard error, so that a mean that
    came out low comes with an interval that is too short. Hall's monotone transformation takes the skewness out (Hall
    1992, "On the Removal of Skewness by Transformation", J. R. Statist. Soc. B 54, 221-228): with the skewness a of the
    mean,

    .. math:: a = \frac{\hat m_3}{G^2 SE^3}, \qquad
       g(T) = T + \tfrac a3 T^2 + \tfrac{a^2}{27} T^3 + \tfrac a6, \qquad
       \mu \in \left[\hat\mu - SE\,g^{-1}(t),\ \hat\mu - SE\,g^{-1}(-t)\right], \qquad
       g^{-1}(x) = \tfrac3a\left(\sqrt[3]{1 + a (x - a/6)} - 1\right),

    with :math:`\hat m_3` the third central moment of the problems' means (over seeds), t Student's quantile. The error
    of coverage is of order 1/G, where that of :math:`\hat\mu \pm t\,SE` is of order :math:`1/\sqrt G`. Without skewness
    it is that interval. It is wider than Wilson's with an effective number of samples, which covers 91 % of 30 problems
    at 7 %.

    Args:
        estimate: The accuracy, from `crossed_mean`.
        values: The shares it is of (S seeds, G problems).

    Returns:
        Both ends; NaN where the estimate has no standard error above 0.
    """
    if not estimate.standard_error > 0 or not math.isfinite(estimate.degrees_of_freedom):
        return math.nan, math.nan
    problems = np.atleast_2d(np.asarray(values, dtype=np.float64)).mean(axis=0)
    third = float(np.mean((problems - problems.mean()) ** 3))
    skewness = third / (len(problems) ** 2 * estimate.standard_error**3)
    t = float(special.stdtrit(estimate.degrees_of_freedom, (1 + LEVEL) / 2))
    low = estimate.value - estimate.standard_error * _inverse(t, skewness)
    high = estimate.value - estimate.standard_error * _inverse(-t, skewness)
    return max(0.0, low), min(1.0, high)


def _inverse(x: float, skewness: float) -> float:
    """The inverse of g; without skewness the identity, which the formula reaches as 0/0."""
    if abs(skewness) < 1e-7:
        return x
    return float(3.0 / skewness * (np.cbrt(1.0 + skewness * (x - skewness / 6.0)) - 1.0))


def arm_accuracies(*, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each arm on each benchmark, with pass@k and the spread of its seeds.

    The interval is `skewed_interval`, over seeds and problems; with one seed it is over problems, of the one trained
    model. With hundreds of problems it is that of `average_at_k`; with 30 that are nearly all wrong it covers about
    95 % instead of that one's 88 % (`benchmarks/calibration.md`). Problems that a seed lacks are left out of it.

    Args:
        verdicts: From `verdict_counts`.

    Returns:
        `ACCURACY_COLUMNS`: standard_error over seeds and problems, samples (k, of one seed), pass_at_k (mean over
        seeds), seed_sd (NaN with one seed), seed_low and seed_high (of the seeds' own accuracies). Shares from 0 to 1.
    """
    rows = []
    for benchmark in by_benchmark(verdicts=verdicts):
        for arm in benchmark.arms:
            tables, _ = paired_shares(benchmarks=[benchmark], arms=[arm])
            if not tables:
                continue
            values = tables[0].values[0]
            estimate = crossed_mean(blocks=[values])
            value, (low, high) = estimate.value, skewed_interval(estimate=estimate, values=values)
            if values.max() == 0.0 or values.min() == 1.0:
                # No spread to go by: the exact end of `average_at_k`, one verdict a problem.
                exact = average_at_k(correct=values[0] > 0, problem=range(values.shape[1]))
                value, low, high = exact.value, exact.low, exact.high
            rows.append((arm, benchmark.name, value, low, high, estimate.standard_error, estimate.problems))
    if not rows:
        return pd.DataFrame(columns=list(ACCURACY_COLUMNS))
    table = pd.DataFrame(rows, columns=list(ACCURACY_COLUMNS[:7]))
    return table.merge(_over_seeds(verdicts), on=["arm", "benchmark"], how="left")[list(ACCURACY_COLUMNS)]


def _over_seeds(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The columns from samples on, of each arm and benchmark."""
    names = ["arm", "benchmark"]
    k = verdicts.groupby(names, sort=False)["samples"].min()
    right, asked = verdicts["correct"].to_numpy(np.int64), verdicts["samples"].to_numpy(np.int64)
    drawn = k.reindex(pd.MultiIndex.from_frame(verdicts[names])).to_numpy(np.int64)
    passed = np.empty(len(verdicts))
    # One look-up for each number of samples: hundreds of thousands of problems have seen only a few of them.
    for n, of_k in {*zip(asked.tolist(), drawn.tolist(), strict=True)}:
        rows = (asked == n) & (drawn == of_k)
        chance = pass_at_every_k(correct=range(n + 1), samples=n)[:, of_k - 1]
        passed[rows] = chance[right[rows]]
    of_seeds = (
        verdicts.assign(share=right / asked, passed=passed)
        .groupby([*names, "seed"], sort=False)[["share", "passed"]]
        .mean()
    )
    spread = of_seeds.groupby(names, sort=False).agg(
        pass_at_k=("passed", "mean"),
        seeds=("share", "size"),
        seed_sd=("share", "std"),
        seed_low=("share", "min"),
        seed_high=("share", "max"),
    )
    return spread.assign(samples=k).reset_index()


def group_accuracies(*, samples: pd.DataFrame, by: Literal["subject", "level"]) -> pd.DataFrame:
    """Accuracy of each arm on each subject or level of a benchmark, with the problem as the unit.

    Groups are looked at together and each has few problems, so the intervals (95 %, clustered by problem, not corrected
    for their number) describe and do not test. Seeds of an arm are averaged within the problem.

    Args:
        samples: One row a sample of one evaluation of each trial: arm, problem_id, correct, and ``by``. Rows whose
            ``by`` is empty or missing belong to no group.
        by: Which.

    Returns:
        `GROUP_COLUMNS`, groups in alphabetical order. Shares from 0 to 1.
    """
    grouped = samples[samples[by].notna() & (samples[by].astype(str) != "")] if by in samples else samples.iloc[:0]
    rows = []
    for arm in pd.unique(grouped["arm"]):
        for group, part in grouped[grouped["arm"] == arm].groupby(by, sort=True):
            found = average_at_k(correct=part["correct"], problem=part["problem_id"])
            rows.append((arm, str(group), found.value, found.low, found.high, found.problems))
    return pd.DataFrame(rows, columns=list(GROUP_COLUMNS))
