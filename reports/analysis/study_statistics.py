"""All statistics of a study in one place: what the document, its CSV and its Parquet files say comes from here."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis.arms import as_in_paper, twin_arms
from reports.analysis.innovation_tails import tail_table
from reports.analysis.innovation_updates import mixture_table, update_table
from reports.analysis.registered_results import RecoveryTable, recovery_table, registered_comparisons
from reports.analysis.training_effect import training_effects, untrained_verdicts
from reports.analysis.twins import noise_table
from reports.data.load import StudyRecord
from reports.statistics.compare import MARGIN, ROW_COLUMNS, ComparisonTable, compare_arms
from reports.statistics.logistic import CannotFitError
from reports.statistics.odds_ratios import setting_effects
from reports.statistics.power import next_study
from reports.statistics.seed_variance import PooledSeedVariance, accuracy_of_seeds, pooled_seed_variance
from reports.statistics.surface import response_surface
from reports.statistics.verdicts import ALL_BENCHMARKS, by_benchmark, verdict_counts
from sweep.study.registered import Registered

SURFACE_COLUMNS = ("surface", "kind", "arms", "reason", "gain", "threshold", "value", "low", "high", "extrapolated")
_FEWEST_RESAMPLES, _DRAWS = 1000, 200_000


@dataclass(frozen=True)
class Analysis:
    """What was computed, as tables; every share runs from 0 to 1.

    Attributes:
        verdicts: Right samples by arm, seed, benchmark and problem (`verdict_counts`).
        comparison: Every arm against the reference; None where there is nothing to compare.
        comparisons: Its rows, with ``same_as`` and ``registered``; empty where there is nothing to compare. An arm that
            is another one by proof (`twin_arms`) has that one's row and its name in ``same_as``, and is no test of its
            own; against the reference itself the difference is 0 and nothing is tested. A pair that the study
            registered is marked: its verdict is in the table ``registered`` alone.
        noise: From `reports.analysis.twins.noise_table`.
        untrained: From `untrained_verdicts`.
        training: From `training_effects`: what training changed.
        registered: `REGISTERED_COLUMNS`: the comparisons that the study registered.
        seed_variance: Pooled over the study's arms; None without two arms that share two seeds.
        pooled: Whether the study registered that comparisons use it.
        recovery: Recovered shares of the gap between two arms, for the registered arm and each arm that clips.
        settings: From `setting_effects`.
        surfaces: `SURFACE_COLUMNS`: accuracy and clip fraction at the arms' own settings and in their middle.
        tails: From `tail_table`: one row an arm and level.
        updates: From `update_table`: innovations by arm, mini-batch update and class of tokens.
        mixtures: From `mixture_table`: what makes each arm's kurtosis.
        next: From `next_study`: what would find a difference as large as the margin, or the largest seen.
        notes: Sentences about what cannot be said.
    """

    verdicts: pd.DataFrame
    comparison: ComparisonTable | None
    comparisons: pd.DataFrame
    noise: pd.DataFrame
    untrained: pd.DataFrame
    training: pd.DataFrame
    registered: pd.DataFrame
    seed_variance: PooledSeedVariance | None
    pooled: bool
    recovery: RecoveryTable
    settings: pd.DataFrame
    surfaces: pd.DataFrame
    tails: pd.DataFrame
    updates: pd.DataFrame
    mixtures: pd.DataFrame
    next: pd.DataFrame
    notes: tuple[str, ...]


def analyse(
    *,
    study: StudyRecord,
    arms: pd.DataFrame,
    reference: str | None,
    margin: float = MARGIN,
    verdicts: pd.DataFrame | None = None,
    checks: bool = True,
) -> Analysis:
    """Compute all statistics of a study.

    Planned comparisons are those that the study file registers; where it registers none, those of arms that are
    `as_in_paper`, which were named before this study's data were seen. All others are exploratory.

    Args:
        study: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        reference: The arm that others are compared with; None where none was evaluated.
        margin: Largest difference of accuracy that does not matter, a share.
        verdicts: The study's `verdict_counts`, where they have been counted already.
        checks: Whether to compute what stands beside the results and in no sentence of the first page: bootstraps,
            permutation tests, odds ratios, surfaces and the next study. They take nearly all of the time.
    """
    verdicts = verdict_counts(samples=study.samples) if verdicts is None else verdicts
    same = twin_arms(trials=study.trials)
    untrained = untrained_verdicts(samples=study.untrained)
    distinct = verdicts[~verdicts["arm"].isin(same)]
    comparison = None
    pooled = study.registered is not None and study.registered.seed_variance == "pooled"
    baseline = same.get(reference, reference) if reference is not None else None
    if baseline is not None and distinct["arm"].nunique() > 1:
        evaluated = set(distinct["arm"].unique())
        named = {same.get(arm, arm) for arm in arms.loc[as_in_paper(arms=arms), "arm"]}
        planned = [arm for arm in arms["arm"] if arm in named & evaluated and arm != baseline]
        if study.registered is not None and study.registered.comparisons:
            # The study's own list is tested by itself; what is compared with the reference beside it is exploratory.
            planned = []
        # The permutation test's work grows with arms; its p needs no more digits than the report prints.
        resamples = int(np.clip(_DRAWS // len(evaluated), _FEWEST_RESAMPLES, 10_000)) if checks else 0
        comparison = compare_arms(
            verdicts=distinct, baseline=baseline, planned=planned, margin=margin, pooled=pooled, resamples=resamples
        )
    rows = comparison.rows if comparison else pd.DataFrame(columns=list(ROW_COLUMNS))
    return Analysis(
        verdicts=verdicts,
        comparison=comparison,
        comparisons=_marked(_with_twins(rows, verdicts, same, reference), study.registered, reference),
        noise=noise_table(study=study, verdicts=verdicts),
        untrained=untrained,
        training=training_effects(verdicts=verdicts, untrained=untrained, same=same),
        registered=registered_comparisons(verdicts=verdicts, registered=study.registered, same=same),
        seed_variance=_pooled(distinct),
        pooled=pooled,
        recovery=recovery_table(verdicts=verdicts, arms=arms, registered=study.registered),
        settings=setting_effects(verdicts=distinct, settings=arms) if comparison and checks else pd.DataFrame(),
        surfaces=_surfaces(distinct, arms[~arms["arm"].isin(same)]) if checks else pd.DataFrame(),
        tails=tail_table(histograms=study.histograms, arms=arms),
        updates=update_table(moments=study.moments),
        mixtures=mixture_table(moments=study.moments),
        next=_next(comparison if checks else None, margin),
        notes=comparison.notes if comparison else (),
    )


def _pooled(verdicts: pd.DataFrame) -> PooledSeedVariance | None:
    benchmarks = by_benchmark(verdicts=verdicts)
    return pooled_seed_variance(means=accuracy_of_seeds(benchmarks=benchmarks)) if benchmarks else None


def _with_twins(
    rows: pd.DataFrame, verdicts: pd.DataFrame, same: dict[str, str], reference: str | None
) -> pd.DataFrame:
    """The rows with those of arms that are others by proof."""
    rows = rows.assign(same_as="")
    baseline = same.get(str(reference), reference)
    # The reference may itself be another arm, whose row would then be missing.
    others = {**same, **({str(baseline): str(baseline)} if baseline != reference else {})}
    more = []
    for arm, original in others.items():
        if arm == reference:
            continue
        if original != baseline:
            more.append(rows[rows["arm"] == original].assign(arm=arm, same_as=original))
            continue
        own = verdicts[verdicts["arm"] == arm]
        counts = own.groupby("benchmark", sort=False).agg(problems=("problem_id", "nunique"), seeds=("seed", "nunique"))
        if len(counts) > 1:
            counts.loc[ALL_BENCHMARKS] = [counts["problems"].sum(), counts["seeds"].max()]
        zero = counts.reset_index(names="benchmark").assign(arm=arm, same_as=str(reference), difference=0.0)
        more.append(zero.assign(planned=False, equivalent=True, identical=False))
    return pd.concat([rows, *more], ignore_index=True)[[*rows.columns]] if more else rows


def _marked(rows: pd.DataFrame, registered: Registered | None, reference: str | None) -> pd.DataFrame:
    """The rows with ``registered``: whether the study registered this pair, in either order."""
    pairs = [{pair.arm, pair.reference} for pair in registered.comparisons] if registered else []
    return rows.assign(registered=[{arm, reference} in pairs for arm in rows["arm"]])


def _surfaces(verdicts: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and clip fraction over the plane, at the corners and the middle of what the arms span."""
    placed = arms[["arm", "gain", "threshold", "clipped_tokens", "tokens"]]
    accuracy = verdicts.merge(placed[["arm", "gain", "threshold"]], on="arm")
    clipped = placed.dropna().rename(columns={"clipped_tokens": "correct", "tokens": "samples"})
    frames = []
    for name, table in (("accuracy", accuracy), ("clip fraction", clipped)):
        surface = response_surface(table=table)
        common: dict[str, Any] = {"surface": name, "kind": surface.kind, "arms": surface.arms, "reason": surface.reason}
        if surface.fit is None:
            frames.append(pd.DataFrame([common]))
            continue
        low, high = np.exp(surface.points.min(axis=0)), np.exp(surface.points.max(axis=0))
        middle = np.sqrt(low * high)
        at = np.array([[low[0], low[1]], [low[0], high[1]], middle, [high[0], low[1]], [high[0], high[1]]])
        try:
            frames.append(surface.predict(gain=at[:, 0], threshold=at[:, 1]).assign(**common))
        except CannotFitError as error:
            frames.append(pd.DataFrame([{**common, "reason": str(error)}]))
    return pd.concat(frames, ignore_index=True).reindex(columns=list(SURFACE_COLUMNS))


def _next(comparison: ComparisonTable | None, margin: float) -> pd.DataFrame:
    """Seeds for one, two and four times the problems, planned with the comparison that varied most."""
    columns = ["arm", "effect", "problems", "seeds", "detectable", "one_seed_detectable"]
    if comparison is None:
        return pd.DataFrame(columns=columns)
    rows = comparison.rows[comparison.rows["benchmark"] != ALL_BENCHMARKS]
    rows = rows[np.isfinite(rows["standard_error"]) & (rows["standard_error"] > 0)]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    worst = rows.loc[rows["standard_error"].idxmax()]
    components = comparison.estimates[worst["arm"], worst["benchmark"]].components
    problems = int(worst["problems"])
    table = next_study(components=components, effect=margin, problems=[problems, 2 * problems, 4 * problems])
    return table.assign(arm=worst["arm"], effect=margin)[columns]
