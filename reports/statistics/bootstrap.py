r"""Hierarchical bootstrap over training seeds and problems.

Seeds and problems are drawn anew independently of each other, and a drawn seed is combined with every drawn problem
(Owen 2007, "The pigeonhole bootstrap", arXiv 0712.1111). Arms share the draws, so that differences and ratios between
them stay paired; problems are drawn within their benchmark. With one seed it is the bootstrap over problems.

It cannot replace `reports.statistics.crossed` where there are few seeds: S seeds vary among themselves by (S-1)/S of
their variance and percentiles have no t distribution's tails, so that with 3 seeds a 95 % interval covers far less (the
figures are in `benchmarks/calibration.md`). It serves as a check and for statistics without a formula.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reports.statistics.two_variances import LEVEL
from reports.statistics.verdicts import ALL_BENCHMARKS, BenchmarkCounts

Floats = npt.NDArray[np.float64]
RESAMPLES = 4999


def bootstrap_means(*, blocks: Sequence[npt.ArrayLike], resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Bootstrap draws of the means of several arms, each the mean over benchmarks of means over seeds and problems.

    Args:
        blocks: For each benchmark its shares (M arms, S seeds, G_b problems).
        resamples: Draws R.
        seed: Seed of the draws.

    Returns:
        Means (R, M); every row is one draw, shared by the arms.

    Raises:
        ValueError: Benchmarks differ in their arms or seeds.
    """
    tables = [np.asarray(block, dtype=np.float64) for block in blocks]
    if len({table.shape[:2] for table in tables}) != 1 or any(table.ndim != 3 for table in tables):
        raise ValueError(f"every benchmark needs the same arms and seeds, got {[table.shape for table in tables]}")
    random = np.random.default_rng(seed)
    arms, seeds, _ = tables[0].shape
    of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    draws = np.zeros((resamples, arms))
    for table in tables:
        problems = table.shape[2]
        of_problems = random.multinomial(problems, np.full(problems, 1 / problems), size=resamples) / problems
        for number in range(seeds):
            draws += of_seeds[:, number, None] * (of_problems @ table[:, number].T)
    return draws / len(tables)


def percentile_interval(*, draws: npt.ArrayLike) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of draws (Efron & Tibshirani 1993, chapter 13)."""
    low, high = np.quantile(np.asarray(draws, dtype=np.float64), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def bootstrap_differences(
    *, benchmarks: Sequence[BenchmarkCounts], baseline: str, resamples: int = RESAMPLES
) -> dict[tuple[str, str], tuple[float, float]]:
    """Percentile intervals of arms minus the baseline, on each benchmark and, of several, on their mean.

    Only arms with every seed and problem of the benchmark take part, since all share the draws.

    Returns:
        Interval by (arm, benchmark), the mean being named `ALL_BENCHMARKS`.
    """
    groups = {one.name: [one] for one in benchmarks}
    if len(benchmarks) > 1:
        groups[ALL_BENCHMARKS] = list(benchmarks)
    found = {}
    for name, group in groups.items():
        complete = [{arm for arm, there in zip(one.arms, one.samples, strict=True) if there.all()} for one in group]
        arms = [arm for arm in group[0].arms if arm in set.intersection(*complete)]
        if baseline not in arms or len({one.seeds for one in group}) > 1:
            continue
        rows = [[one.arms.index(arm) for arm in arms] for one in group]
        blocks = [one.correct[row] / one.samples[row] for one, row in zip(group, rows, strict=True)]
        draws = bootstrap_means(blocks=blocks, resamples=resamples)
        reference = draws[:, arms.index(baseline)]
        for arm, column in zip(arms, draws.T, strict=True):
            if arm != baseline:
                found[arm, name] = percentile_interval(draws=column - reference)
    return found
