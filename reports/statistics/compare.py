"""Every arm against a baseline, with all that this package says of a difference: the one call that a report needs."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.statistics.crossed import CrossedEstimate, SeedSpread
from reports.statistics.differences import difference
from reports.statistics.effects import cohen_h, equivalence_p, odds_ratio, probability_of_improvement
from reports.statistics.multiplicity import adjust, holm, simultaneous_intervals
from reports.statistics.odds_ratios import arm_odds_ratios
from reports.statistics.paired_tests import mcnemar_mid_p, sign_flip_test, two_proportion_z
from reports.statistics.power import minimum_detectable_effect
from reports.statistics.seed_variance import accuracy_of_seeds, pooled_seed_variance
from reports.statistics.verdicts import ALL_BENCHMARKS, BenchmarkCounts, Shares, by_benchmark, paired_shares

Floats = npt.NDArray[np.float64]
ROW_COLUMNS = (
    "arm", "benchmark", "planned", "identical",
    "difference", "low", "high", "simultaneous_low", "simultaneous_high", "standard_error", "degrees_of_freedom",
    "p", "p_adjusted", "p_family", "p_permutation", "p_mcnemar", "z_ignoring_clustering", "p_ignoring_clustering",
    "cohen_h", "odds_ratio", "odds_low", "odds_high", "improvement", "improvement_low", "improvement_high",
    "p_equivalence", "equivalent", "detectable", "seed_sd", "problems", "seeds",
)  # fmt: skip
# Largest difference of accuracy that does not matter where nobody says another, a share.
MARGIN = 0.01
EQUIVALENCE_LEVEL = 0.05
# Sign patterns of the permutation test.
RESAMPLES = 4999
# Computed for all arms together, after the rows.
_LATER = ("simultaneous_low", "simultaneous_high", "p_adjusted", "p_family", "p_permutation")


@dataclass(frozen=True)
class ComparisonTable:
    """All comparisons of a study against one arm.

    Attributes:
        margin: Margin of equivalence, a share.
        rows: `ROW_COLUMNS`, one row an arm and benchmark, and one an arm with benchmark ``all`` where there are
            several (their mean). Differences are shares, arm minus baseline. ``p`` is that of the interval and
            ``p_adjusted`` corrects it: Holm over planned arms, Benjamini-Hochberg over the others, each over the
            ``all`` rows (with one benchmark its rows) and, apart from them, over the rows of single benchmarks.
            ``simultaneous_*`` are Dunnett's intervals, which hold for all arms on a benchmark together.
            ``p_family`` is Holm's over all of the first, planned or not, so that a sentence that lists what differs is
            wrong in at most 5 % of studies; NaN in the second.
            ``p_permutation`` and ``p_mcnemar`` are over problems alone; McNemar needs one sample and one seed.
            ``improvement`` is `probability_of_improvement`. ``identical``: no problem differs. ``detectable`` would
            have been found with 80 % power. ``equivalent`` is whether TOST at 5 % says so.
        odds: From `arm_odds_ratios`.
        estimates: The `CrossedEstimate` of each (arm, benchmark), with variance components to plan the next study.
        notes: Sentences about what these comparisons cannot say.
    """

    margin: float
    rows: pd.DataFrame
    odds: pd.DataFrame
    estimates: dict[tuple[str, str], CrossedEstimate]
    notes: tuple[str, ...]


def compare_arms(
    *,
    verdicts: pd.DataFrame,
    baseline: str,
    planned: Collection[str] = (),
    margin: float = MARGIN,
    pooled: bool = False,
    resamples: int = RESAMPLES,
) -> ComparisonTable:
    """Compare every arm with the baseline on every benchmark, on the seeds and problems that both have.

    Args:
        verdicts: From `verdict_counts`: arm, seed, benchmark, problem_id, correct, samples.
        baseline: Name of the reference arm.
        planned: Arms whose comparison was registered before the data were seen.
        margin: Largest difference that does not matter, a share.
        pooled: Whether the variance between seeds is pooled over all arms (`pooled_seed_variance`).
        resamples: Sign patterns of the permutation test; 0 for no such test and no odds ratios.

    Raises:
        ValueError: The baseline, or a planned arm, has no verdicts.
    """
    benchmarks = by_benchmark(verdicts=verdicts)
    arms = list(dict.fromkeys(arm for one in benchmarks for arm in one.arms))
    if missing := [arm for arm in (baseline, *planned) if arm not in arms]:
        raise ValueError(f"no verdicts of {', '.join(missing)}; there are {', '.join(arms)}")
    several = len(benchmarks) > 1
    rows: list[dict[str, object]] = []
    estimates: dict[tuple[str, str], CrossedEstimate] = {}
    by_problem: dict[str, dict[str, Floats]] = {}
    unpaired = []
    named = {one.name: [one] for one in benchmarks} | ({ALL_BENCHMARKS: benchmarks} if several else {})
    spreads = {name: _pooled_spread(group) if pooled else None for name, group in named.items()}
    for arm in arms:
        if arm == baseline:
            continue
        tables, seeds = paired_shares(benchmarks=benchmarks, arms=[arm, baseline])
        if tables and not seeds:
            unpaired.append(arm)
        groups = {table.benchmark: [table] for table in tables}
        if several and len(tables) == len(benchmarks):
            groups[ALL_BENCHMARKS] = tables
        for name, group in groups.items():
            estimate = estimates[arm, name] = difference(tables=group, spread=spreads[name])
            rows.append({"arm": arm, "benchmark": name, "planned": arm in planned, **_row(group, estimate, margin)})
            # Divided by the number of problems, so that benchmarks count alike in their sum.
            means = [(table.values[0] - table.values[1]).mean(axis=0) for table in group]
            spread = [_spread(one / one.size, table.present) for one, table in zip(means, group, strict=True)]
            by_problem.setdefault(name, {})[arm] = np.concatenate(spread)
    frame = pd.DataFrame(rows, columns=[name for name in ROW_COLUMNS if name not in _LATER])
    flips: dict[tuple[str, str], float] = {}
    for name, of_arms in by_problem.items() if resamples else ():
        p_values = sign_flip_test(differences=np.column_stack([*of_arms.values()]), resamples=resamples)
        flips |= {(arm, name): float(p) for arm, p in zip(of_arms, p_values, strict=True)}
    keys = list(zip(frame["arm"], frame["benchmark"], strict=True))
    frame[["simultaneous_low", "simultaneous_high"]] = np.nan
    for name in named:
        of_name = frame["benchmark"] == name
        together = [estimates[arm, name] for arm in frame.loc[of_name, "arm"]]
        frame.loc[of_name, ["simultaneous_low", "simultaneous_high"]] = simultaneous_intervals(estimates=together)
    frame["p_permutation"] = [flips.get(key, math.nan) for key in keys]
    frame["p_adjusted"] = frame["p_family"] = np.nan
    main = frame["benchmark"] == (ALL_BENCHMARKS if several else frame["benchmark"])
    for family in (main, ~main):
        frame.loc[family, "p_adjusted"] = adjust(p_values=frame.loc[family, "p"], planned=frame.loc[family, "planned"])
    frame.loc[main, "p_family"] = holm(p_values=frame.loc[main, "p"])
    return ComparisonTable(
        margin=margin,
        rows=frame[list(ROW_COLUMNS)],
        odds=arm_odds_ratios(verdicts=verdicts if resamples else verdicts[:0], baseline=baseline),
        estimates=estimates,
        notes=tuple(_notes(frame, unpaired, pooled)),
    )


def _pooled_spread(benchmarks: list[BenchmarkCounts]) -> SeedSpread | None:
    found = pooled_seed_variance(means=accuracy_of_seeds(benchmarks=benchmarks))
    return found.of_difference if found else None


def _row(tables: list[Shares], estimate: CrossedEstimate, margin: float) -> dict[str, object]:
    treated, reference = (np.sum([[t.correct[i].sum(), t.samples[i].sum()] for t in tables], axis=0) for i in (0, 1))
    z, p_z = two_proportion_z(
        treated_correct=int(treated[0]),
        treated_samples=int(treated[1]),
        reference_correct=int(reference[0]),
        reference_samples=int(reference[1]),
    )
    shares = {name: [t.values[place] for t in tables] for place, name in enumerate(("treated", "reference"))}
    ratio, odds_low, odds_high = odds_ratio(**shares)
    improvement, improvement_low, improvement_high = probability_of_improvement(**shares)
    means = [float(np.mean([t.values[i].mean() for t in tables])) for i in (0, 1)]
    p_equivalence = equivalence_p(estimate=estimate, margin=margin)
    return {
        "identical": estimate.identical,
        "difference": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "standard_error": estimate.standard_error,
        "degrees_of_freedom": estimate.degrees_of_freedom,
        "p": estimate.p,
        "p_mcnemar": _mcnemar(tables),
        "z_ignoring_clustering": z,
        "p_ignoring_clustering": p_z,
        "cohen_h": cohen_h(treated=means[0], reference=means[1]),
        "odds_ratio": ratio,
        "odds_low": odds_low,
        "odds_high": odds_high,
        "improvement": improvement,
        "improvement_low": improvement_low,
        "improvement_high": improvement_high,
        "p_equivalence": p_equivalence,
        "equivalent": p_equivalence < EQUIVALENCE_LEVEL,
        "detectable": minimum_detectable_effect(
            standard_error=estimate.standard_error, degrees_of_freedom=estimate.degrees_of_freedom
        ),
        "seed_sd": estimate.seed_sd,
        "problems": estimate.problems,
        "seeds": estimate.seeds,
    }


def _mcnemar(tables: list[Shares]) -> float:
    """NaN unless every arm answered every problem once, with one seed."""
    if any(table.correct.shape[1] > 1 or (table.samples > 1).any() for table in tables):
        return math.nan
    won = sum(int((table.correct[0] > table.correct[1]).sum()) for table in tables)
    lost = sum(int((table.correct[0] < table.correct[1]).sum()) for table in tables)
    return mcnemar_mid_p(only_treated=won, only_reference=lost)


def _spread(means: Floats, present: npt.NDArray[np.bool_]) -> Floats:
    every = np.full(len(present), np.nan)
    every[present] = means
    return every


def _notes(rows: pd.DataFrame, unpaired: list[str], pooled: bool) -> list[str]:
    notes = []
    fewest = int(rows["seeds"].min()) if len(rows) else 0
    if fewest == 1:
        notes.append(
            "Comparisons with one training seed cannot speak about seeds: interval and p cover the choice of problems "
            "for the models that were trained, not how another seed would have come out."
        )
    if (rows["seeds"] == 2).any() and not pooled:
        notes.append(
            "Two training seeds do not tell how much seeds differ. The test allows for that and has little power: only "
            "differences far larger than the seeds' own are found. Three seeds, or a variance pooled over the arms "
            "(registered: {seed_variance: pooled}), find far smaller ones."
        )
    if unpaired:
        notes.append(
            f"No training seed in common with the baseline: {', '.join(unpaired)}; compared over each arm's own seeds "
            "(Welch), or, where an arm has one alone, as trained models."
        )
    notes.append(
        "p_permutation and p_mcnemar are over problems alone; the columns named ignoring_clustering treat samples of "
        "one problem as independent and are there to compare with papers that do so."
    )
    return notes
