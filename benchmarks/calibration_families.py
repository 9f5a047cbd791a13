"""Families of comparisons that `calibration.py` runs: false alarms after correction, and what is found."""

from collections.abc import Sequence

import numpy as np
from calibration_methods import Floats, Row, per_cent
from simulated_studies import Population, draw_counts

from reports.statistics.crossed import CrossedEstimate, crossed_mean
from reports.statistics.multiplicity import adjust, holm

Pairs = Sequence[tuple[int, int]]
# Nine arms, each of two thresholds with the arm of its gain that does not clip, as in studies/decoupled.yaml.
DECOUPLED: Pairs = tuple((3 * gain + threshold, 3 * gain) for gain in range(3) for threshold in (1, 2))
# Eight arms, all with the first.
EIGHT: Pairs = tuple((arm, 0) for arm in range(1, 8))


def families(*, random: np.random.Generator, repeats: int, arms: int, real: int) -> list[Row]:
    """Many arms against one baseline with one seed, some of them truly different: false alarms after correction."""
    population = Population()
    shift = population.effect_for(difference=0.06)
    any_false, false_share, power_holm, power_bh = [], [], [], []
    for _ in range(repeats):
        effects = [0.0, *([shift] * real), *([0.0] * (arms - real))]
        counts = draw_counts(random=random, population=population, effects=effects, seeds=1, problems=200, samples=8)
        p = np.array([crossed_mean(blocks=[(counts[arm] - counts[0]) / 8]).p for arm in range(1, arms + 1)])
        corrected = adjust(p_values=p, planned=np.ones(arms, bool)) < 0.05
        found = adjust(p_values=p, planned=np.zeros(arms, bool)) < 0.05
        any_false.append(corrected[real:].any())
        false_share.append(found[real:].sum() / max(1, found.sum()))
        power_holm += corrected[:real].tolist()
        power_bh += found[:real].tolist()
    error = float(np.std(false_share)) / np.sqrt(repeats)
    return [
        {
            "arms": arms,
            "truly different": real,
            "Holm: any false alarm (at most 5)": per_cent(any_false),
            "BH: share of false alarms (at most 5)": f"{100 * np.mean(false_share):.1f} ± {100 * error:.1f}",
            "found, Holm": per_cent(power_holm) if real else "",
            "found, BH": per_cent(power_bh) if real else "",
        }
    ]


def seed_families(
    *, random: np.random.Generator, repeats: int, name: str, pairs: Pairs, population: Population, seeds: int
) -> list[Row]:
    """Pairs of arms with a few seeds and no difference: any false alarm after Holm, at 5 % and where it says 0.1 %."""
    arms = 1 + max(max(pair) for pair in pairs)
    smallest = []
    for _ in range(repeats):
        shares = _shares(random, population, np.zeros(arms), seeds)
        smallest.append(holm(p_values=[one.p for one in _estimates(shares, pairs)]).min())
    return [
        {
            "family": name,
            "seeds": seeds,
            "seed SD (logit)": population.seed,
            "any false alarm": per_cent(np.array(smallest) < 0.05),
            "corrected p < 0.1 %": per_cent(np.array(smallest) < 0.001),
        }
    ]


def _shares(random: np.random.Generator, population: Population, effects: Floats, seeds: int) -> Floats:
    counts = draw_counts(
        random=random, population=population, effects=effects.tolist(), seeds=seeds, problems=560, samples=16
    )
    return np.asarray(counts / 16)


def _estimates(shares: Floats, pairs: Pairs) -> list[CrossedEstimate]:
    return [crossed_mean(blocks=[shares[one] - shares[other]]) for one, other in pairs]
