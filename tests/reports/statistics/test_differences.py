"""Against Welch's test, a plain loop, and simulated studies whose arms share no seed."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.simulated_studies import Population, as_verdicts, draw_counts
from reports.statistics.crossed import crossed_mean, independent_difference
from reports.statistics.differences import difference, differences_of_seeds, models_difference, paired_tables


def _arm(seeds: int, problems: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    easy = np.random.default_rng(99).normal(size=problems)  # shared by the arms
    return random.normal(size=(seeds, 1)) + easy + random.normal(size=(seeds, problems))


def test_many_problems_leave_welchs_test_over_seeds() -> None:
    x, y = _arm(3, 4000, 1), _arm(5, 4000, 2)
    ours = independent_difference(treated=[x], reference=[y])
    theirs = stats.ttest_ind(x.mean(axis=1), y.mean(axis=1), equal_var=False)
    assert ours.value == pytest.approx(x.mean() - y.mean())
    assert ours.p == pytest.approx(theirs.pvalue, rel=0.05)
    ends = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((ends.low, ends.high), rel=0.02)
    assert ours.seeds == 3


def _variance_by_the_definition(x: np.ndarray, y: np.ndarray) -> float:
    """Welch's of the seeds, and of the problems what is beyond the rest, in loops."""
    problems = x.shape[1]
    gaps = [sum(x[:, g]) / len(x) - sum(y[:, g]) / len(y) for g in range(problems)]
    middle = sum(gaps) / problems
    of_problems = sum((gap - middle) ** 2 for gap in gaps) / (problems - 1) / problems
    total = rests = 0.0
    for arm in (x, y):
        seeds = len(arm)
        rows, columns, mean = arm.mean(axis=1), arm.mean(axis=0), arm.mean()
        total += sum((row - mean) ** 2 for row in rows) / (seeds - 1) / seeds
        rest = sum((arm[s, g] - rows[s] - columns[g] + mean) ** 2 for s in range(seeds) for g in range(problems))
        rests += rest / ((seeds - 1) * (problems - 1)) / (seeds * problems)
    return max(total + max(0.0, of_problems - rests), rests)


@pytest.mark.parametrize("shape", [(2, 2, 7), (3, 2, 12), (4, 5, 30)])
def test_the_variance_is_its_definition(shape: tuple[int, int, int]) -> None:
    x, y = _arm(shape[0], shape[2], 3), _arm(shape[1], shape[2], 4)
    ours = independent_difference(treated=[x], reference=[y])
    assert ours.standard_error**2 == pytest.approx(_variance_by_the_definition(x, y))


def test_one_seed_of_an_arm_speaks_of_models() -> None:
    x, y = _arm(1, 20, 5), _arm(3, 20, 6)
    ours = independent_difference(treated=[x], reference=[y])
    assert ours.seeds == 1
    assert ours.p == pytest.approx(crossed_mean(blocks=[x[0] - y.mean(axis=0)]).p)


def _without_common_seed(random: np.random.Generator, *, spread: float) -> pd.DataFrame:
    counts = draw_counts(
        random=random, population=Population(seed=spread), effects=(0.0, 0.0), seeds=3, problems=100, samples=8
    )
    verdicts = as_verdicts(counts=counts, samples=8)
    return verdicts.assign(seed=verdicts["seed"] + 10 * (verdicts["arm"] == "arm 1"))


def test_arms_without_a_common_seed_keep_the_level() -> None:
    random = np.random.default_rng(12)
    rejected, over_problems = [], []
    for _ in range(300):
        tables = paired_tables(verdicts=_without_common_seed(random, spread=0.3), arm="arm 0", other="arm 1")
        assert not differences_of_seeds(tables=tables).size
        rejected.append(difference(tables=tables).p < 0.05)
        over_problems.append(models_difference(tables=tables).p < 0.05)
    assert np.mean(rejected) < 0.09
    # What the models differ by is certain, and says nothing of the settings.
    assert np.mean(over_problems) > 0.4


def test_common_seeds_are_paired() -> None:
    counts = draw_counts(
        random=np.random.default_rng(0), population=Population(), effects=(0.3, 0.0), seeds=2, problems=50, samples=4
    )
    tables = paired_tables(verdicts=as_verdicts(counts=counts, samples=4), arm="arm 0", other="arm 1")
    gaps = (counts[0] - counts[1]) / 4
    assert difference(tables=tables).p == crossed_mean(blocks=[gaps]).p
    assert differences_of_seeds(tables=tables).tolist() == pytest.approx(gaps.mean(axis=1).tolist())
    assert models_difference(tables=tables).p == pytest.approx(crossed_mean(blocks=[gaps.mean(axis=0)]).p)
    assert paired_tables(verdicts=as_verdicts(counts=counts, samples=4), arm="arm 0", other="absent") == []


def test_seeds_that_some_benchmark_lacks_do_not_count() -> None:
    random = np.random.default_rng(1)
    frames = []
    for name in ("easy", "hard"):
        counts = draw_counts(
            random=random, population=Population(), effects=(0.0, 0.0), seeds=2, problems=10, samples=4
        )
        frames.append(as_verdicts(counts=counts, samples=4, benchmark=name))
    verdicts = pd.concat(frames)
    verdicts["seed"] += 10 * (verdicts["arm"] == "arm 1")
    verdicts = verdicts[~((verdicts["benchmark"] == "hard") & (verdicts["seed"] == 11))]
    found = difference(tables=paired_tables(verdicts=verdicts, arm="arm 0", other="arm 1"))
    assert found.seeds == 1
    assert math.isfinite(found.p)
