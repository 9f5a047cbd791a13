"""Families of comparisons that `calibration.py` runs: false alarms after correction, and what is found."""

from collections.abc import Sequence

import numpy as np

from benchmarks.calibration_methods import Floats, Row, per_cent
from benchmarks.simulated_studies import Population, draw_counts
from reports.statistics.crossed import CrossedEstimate, crossed_mean
from reports.statistics.multiplicity import adjust, holm
from reports.statistics.seed_variance import pooled_seed_variance

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
    """Pairs of arms with a few seeds and no difference: any false alarm after Holm, separate and pooled."""
    arms = 1 + max(max(pair) for pair in pairs)
    smallest: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(repeats):
        shares = _shares(random, population, np.zeros(arms), seeds)
        for pooled, found in smallest.items():
            found.append(holm(p_values=[one.p for one in _estimates(shares, pairs, pooled)]).min())
    row: Row = {"family": name, "seeds": seeds, "seed SD (logit)": population.seed}
    for pooled, words in ((False, "separate"), (True, "pooled")):
        row[f"any false alarm, {words}"] = per_cent(np.array(smallest[pooled]) < 0.05)
        row[f"corrected p < 0.1 %, {words}"] = per_cent(np.array(smallest[pooled]) < 0.001)
    return [row]


def pooled_power(
    *, random: np.random.Generator, repeats: int, arms: int, seeds: int, population: Population, unlike: bool = False
) -> list[Row]:
    """One of some arms against another: false alarms at 5 %, coverage, width and power, separate and pooled."""
    effect = population.effect_for(difference=0.052)
    rows = {pooled: {"null": [], "covers": [], "half": [], "found": []} for pooled in (False, True)}
    for _ in range(repeats):
        for difference in (0.0, 0.052):
            effects = np.zeros(arms)
            effects[1] = effect if difference else 0.0
            shares = _shares(random, population, effects, seeds, unlike=1 if unlike else None)
            for pooled, of in rows.items():
                (one,) = _estimates(shares, [(1, 0)], pooled)
                of["found" if difference else "null"].append(one.p < 0.05)
                of["covers"].append(one.low <= difference <= one.high)
                of["half"].append((one.high - one.low) / 2)
    shape: Row = {"arms": arms, "seeds": seeds, "seed SD (logit)": population.seed}
    return [
        {
            **shape,
            "variance": "pooled" if pooled else "separate",
            "rejected, no difference": per_cent(of["null"]),
            "interval covers": per_cent(of["covers"]),
            "half-width (median, points)": f"{100 * float(np.median(of['half'])):.1f}",
            "5.2 points found": per_cent(of["found"]),
            "note": "the arm's seeds vary four times as much"
            if unlike
            else "2 degrees of freedom: the report says so"
            if pooled and (arms - 1) * (seeds - 1) == 2
            else "",
        }
        for pooled, of in rows.items()
    ]


def _shares(
    random: np.random.Generator, population: Population, effects: Floats, seeds: int, unlike: int | None = None
) -> Floats:
    """Shares of one study (arms, seeds, problems); seeds of the arm `unlike` vary four times as much in variance."""
    of_seeds = np.repeat(effects[:, None], seeds, axis=1)
    if unlike is not None:
        # As much again as makes four times the variance.
        of_seeds[unlike] += np.sqrt(3.0) * population.seed * random.standard_normal(seeds)
    counts = draw_counts(random=random, population=population, effects=of_seeds, seeds=seeds, problems=560, samples=16)
    return np.asarray(counts / 16)


def _estimates(shares: Floats, pairs: Pairs, pooled: bool) -> list[CrossedEstimate]:
    found = pooled_seed_variance(means=shares.mean(axis=2)) if pooled else None
    spread = found.of_difference if found else None
    return [crossed_mean(blocks=[shares[one] - shares[other]], spread=spread) for one, other in pairs]
