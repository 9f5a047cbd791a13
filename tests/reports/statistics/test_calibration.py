"""The promises hold in simulated studies, within wide bounds; `benchmarks/calibration.py` measures them closely.

Seeds are fixed, so these cannot fail by chance. Bounds are about four Monte-Carlo standard errors around what
`benchmarks/calibration.md` reports.
"""

import numpy as np
import pytest

from benchmarks.simulated_studies import Population, as_verdicts, draw_counts
from reports.statistics.crossed import CrossedEstimate, crossed_mean
from reports.statistics.odds_ratios import arm_odds_ratios
from reports.statistics.paired_tests import sign_flip_test, two_proportion_z
from reports.statistics.recovery import recovery_fraction

_REPEATS = 600


def _draws(
    population: Population, *, seeds: int, problems: int, effect: float = 0.0, repeats: int = _REPEATS
) -> np.ndarray:
    random = np.random.default_rng(11)
    settings = {"population": population, "effects": (effect, 0.0), "seeds": seeds, "problems": problems, "samples": 16}
    return np.array([draw_counts(random=random, **settings) for _ in range(repeats)])


def _estimates(counts: np.ndarray) -> list[CrossedEstimate]:
    return [crossed_mean(blocks=[(one[0] - one[1]) / 16]) for one in counts]


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (2, 0.0), (2, 0.05), (3, 0.0), (3, 0.2), (5, 0.1)])
def test_a_true_null_is_rejected_in_one_study_of_twenty(seeds: int, spread: float) -> None:
    found = _estimates(_draws(Population(seed=spread), seeds=seeds, problems=60))
    # Two seeds that do not differ are held to the floor of the variance, and rejected less often than promised.
    assert (0.005 if seeds == 2 else 0.02) < np.mean([one.p < 0.05 for one in found]) < 0.085


def test_the_interval_covers_a_true_difference() -> None:
    population = Population(seed=0.1)
    effect = population.effect_for(difference=0.05)
    found = _estimates(_draws(population, seeds=4, problems=60, effect=effect))
    assert 0.915 < np.mean([one.low <= 0.05 <= one.high for one in found]) < 0.98
    assert np.mean([one.value for one in found]) == pytest.approx(0.05, abs=0.003)


def test_the_sign_flip_test_keeps_to_its_level_over_problems() -> None:
    counts = _draws(Population(), seeds=1, problems=60)[:, :, 0]
    p = sign_flip_test(differences=((counts[:, 0] - counts[:, 1]) / 16).T, resamples=999)
    assert 0.02 < np.mean(p < 0.05) < 0.085


def test_the_z_test_over_samples_does_not() -> None:
    counts = _draws(Population(seed_problem=0.8, interaction=0.8), seeds=1, problems=60).sum(axis=(2, 3))
    size = 16 * 60
    hits = [
        two_proportion_z(treated_correct=a, treated_samples=size, reference_correct=b, reference_samples=size)[1] < 0.05
        for a, b in counts.tolist()
    ]
    assert np.mean(hits) > 0.085


def test_one_seed_says_nothing_about_seeds() -> None:
    found = _estimates(_draws(Population(seed=0.3), seeds=1, problems=300, repeats=200))
    assert np.mean([one.p < 0.05 for one in found]) > 0.4


def test_odds_ratios_keep_to_their_level() -> None:
    counts = _draws(Population(seed=0.1), seeds=4, problems=40, repeats=150)
    verdicts = [as_verdicts(counts=one, samples=16) for one in counts]
    p = [arm_odds_ratios(verdicts=one, baseline="arm 1")["p"].iloc[0] for one in verdicts]
    assert np.mean(np.array(p) < 0.05) < 0.12
    ours = [one.p for one in _estimates(counts)]
    assert np.corrcoef(np.log(p), np.log(ours))[0, 1] > 0.97


def test_fieller_covers_the_recovery() -> None:
    population = Population(seed=0.05)
    random = np.random.default_rng(3)
    effects = [population.effect_for(difference=0.1), 0.0, population.effect_for(difference=0.04)]
    covered = []
    for _ in range(250):
        counts = draw_counts(random=random, population=population, effects=effects, seeds=3, problems=200, samples=16)
        shares = counts / 16
        found = recovery_fraction(upper=[shares[0]], lower=[shares[1]], candidate=[shares[2]], at_least=0.5)
        if found.verdict != "undefined":
            covered.append(found.low <= 0.4 <= found.high)
    assert len(covered) > 200
    assert 0.9 < np.mean(covered) < 0.995


def test_the_truth_of_a_simulation_is_what_it_draws() -> None:
    population = Population(mean=-1.0, seed=0.2)
    counts = draw_counts(
        random=np.random.default_rng(0), population=population, effects=(0.7,), seeds=200, problems=2000, samples=1
    )
    assert counts.mean() == pytest.approx(population.accuracy(effect=0.7), abs=0.02)
    difference = population.accuracy(effect=population.effect_for(difference=0.03)) - population.accuracy()
    assert difference == pytest.approx(0.03, abs=1e-9)
