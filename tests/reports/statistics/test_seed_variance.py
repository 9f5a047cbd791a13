"""Against a two-way table in loops, statsmodels, and simulated families with few seeds."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated_studies import Population, as_verdicts, draw_counts
from reports.statistics.compare import compare_arms
from reports.statistics.crossed import crossed_mean
from reports.statistics.seed_variance import accuracy_of_seeds, pooled_seed_variance
from reports.statistics.verdicts import by_benchmark


def _means(arms: int, seeds: int, number: int) -> np.ndarray:
    random = np.random.default_rng(number)
    return 0.5 + 0.1 * random.normal(size=(arms, 1)) + 0.02 * random.normal(size=(arms, seeds))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(arms=st.integers(2, 8), seeds=st.integers(2, 5), number=st.integers(0, 1000), shift=st.floats(-0.3, 0.3))
def test_it_is_the_residual_of_a_two_way_table(arms: int, seeds: int, number: int, shift: float) -> None:
    m = _means(arms, seeds, number)
    rest = 0.0
    for a in range(arms):
        for s in range(seeds):
            rest += (m[a, s] - m[a].mean() - m[:, s].mean() + m.mean()) ** 2
    found = pooled_seed_variance(means=m)
    assert found is not None
    assert found.degrees_of_freedom == (arms - 1) * (seeds - 1)
    assert found.variance == pytest.approx(rest / found.degrees_of_freedom)
    assert np.mean(np.square(found.deviations)) == pytest.approx(found.variance)
    # What a seed does to all arms alike, and what the arms differ by, leave it as it is.
    moved = m + shift * np.arange(seeds) - shift * np.arange(arms)[:, None]
    other = pooled_seed_variance(means=moved)
    assert other is not None
    assert other.variance == pytest.approx(found.variance)


def test_cells_may_be_missing() -> None:
    m = _means(4, 4, 3)
    m[1, 2] = m[2, 0] = np.nan
    arm, seed = np.nonzero(np.isfinite(m))
    frame = pd.DataFrame({"arm": arm, "seed": seed, "m": m[arm, seed]})
    theirs = smf.ols("m ~ C(arm) + C(seed)", frame).fit()
    ours = pooled_seed_variance(means=m)
    assert ours is not None
    assert ours.degrees_of_freedom == theirs.df_resid
    assert ours.variance == pytest.approx(theirs.mse_resid)


def test_two_arms_know_no_more_than_their_difference() -> None:
    counts = draw_counts(
        random=np.random.default_rng(0), population=Population(seed=0.2), effects=(0.0, 0.0), seeds=3, problems=40,
        samples=8,
    )  # fmt: skip
    found = pooled_seed_variance(means=counts.mean(axis=2) / 8)
    assert found is not None
    assert math.isnan(found.p_alike)
    gaps = (counts[0] - counts[1]) / 8
    alone, pooled = crossed_mean(blocks=[gaps]), crossed_mean(blocks=[gaps], spread=found.of_difference)
    assert (pooled.low, pooled.p) == pytest.approx((alone.low, alone.p))


def test_the_same_training_counts_once_and_nothing_can_be_pooled_from_single_seeds() -> None:
    m = _means(3, 3, 5)
    once, twice = pooled_seed_variance(means=m), pooled_seed_variance(means=np.vstack([m, m[:1]]))
    assert once is not None
    assert once == twice
    assert pooled_seed_variance(means=m[:, :1]) is None
    assert pooled_seed_variance(means=m[:1]) is None
    m[1:, 1:] = np.nan
    assert pooled_seed_variance(means=m) is None


def test_accuracies_of_seeds_are_means_over_benchmarks() -> None:
    random, frames = np.random.default_rng(2), []
    for name, problems in (("easy", 6), ("hard", 3)):
        counts = draw_counts(
            random=random, population=Population(), effects=(0.0, 1.0), seeds=2, problems=problems, samples=4
        )
        frames.append(as_verdicts(counts=counts, samples=4, benchmark=name))
    verdicts = pd.concat(frames, ignore_index=True)
    shares = verdicts.assign(share=verdicts["correct"] / verdicts["samples"])
    by_hand = shares.groupby(["arm", "seed", "benchmark"])["share"].mean().groupby(["arm", "seed"]).mean().unstack()
    found = accuracy_of_seeds(benchmarks=by_benchmark(verdicts=verdicts))
    assert found == pytest.approx(by_hand.to_numpy())
    lost = verdicts[~((verdicts["arm"] == "arm 1") & (verdicts["seed"] == 1) & (verdicts["problem_id"] == "p2"))]
    assert np.isnan(accuracy_of_seeds(benchmarks=by_benchmark(verdicts=lost))).tolist() == [[False] * 2, [False, True]]


def test_pooling_finds_more_and_keeps_the_level() -> None:
    random, population = np.random.default_rng(4), Population(seed=0.15)
    effect = population.effect_for(difference=0.06)
    rejected: dict[bool, list[bool]] = {True: [], False: []}
    null = []
    for study in range(150):
        counts = draw_counts(
            random=random, population=population, effects=(0.0, 0.0, 0.0, effect), seeds=3, problems=150, samples=8
        )
        shares = counts / 8
        variance = pooled_seed_variance(means=shares.mean(axis=2))
        assert variance is not None
        for pooled, spread in ((True, variance.of_difference), (False, None)):
            p = [crossed_mean(blocks=[shares[arm] - shares[0]], spread=spread).p for arm in (1, 2, 3)]
            rejected[pooled].append(p[2] < 0.05)
            if pooled:
                null += [one < 0.05 for one in p[:2]]
            if study == 0:
                verdicts = as_verdicts(counts=counts, samples=8)
                rows = compare_arms(verdicts=verdicts, baseline="arm 0", pooled=pooled, resamples=0).rows
                assert rows["p"].tolist() == pytest.approx(p)
    assert np.mean(rejected[True]) > np.mean(rejected[False]) + 0.1
    assert np.mean(null) < 0.09


def test_arms_that_vary_unlike_are_noticed() -> None:
    random = np.random.default_rng(6)
    spread = np.array([0.01, 0.01, 0.01, 0.01, 0.08])[:, None]
    alike, unlike = [], []
    for _ in range(200):
        draws = random.normal(size=(5, 5))
        for found, scale in ((alike, 0.01), (unlike, spread)):
            pooled = pooled_seed_variance(means=0.5 + scale * draws)
            assert pooled is not None
            found.append(pooled.p_alike < 0.05)
    assert np.mean(alike) < 0.08
    assert np.mean(unlike) > 0.8


def test_an_arm_that_follows_the_others_exactly_is_no_evidence_that_seeds_move_arms_unalike() -> None:
    # The seeds differ by 0.1 on average, and in the first and last arm by no more and no less.
    found = pooled_seed_variance(means=[[0.5, 0.6], [0.3, 0.5], [0.2, 0.2], [0.1, 0.2]])
    assert found is not None
    assert min(found.deviations) < 1e-12 < max(found.deviations)
    assert math.isnan(found.p_alike)
