"""All statistics of a study in one place: what the document, its CSV and its Parquet files say comes from here."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.analysis.arms import arm_label, row_of
from reports.analysis.registered import registered_comparisons
from reports.data.load import StudyRecord
from reports.statistics import (
    ComparisonTable,
    arm_recovery,
    compare_arms,
    next_study,
    response_surface,
    setting_effects,
    validate_tail,
    verdict_counts,
)
from reports.statistics.logistic import CannotFitError
from reports.statistics.tails import EDGES, FEWEST_STEPS, tail_threshold
from reports.statistics.verdicts import ALL_BENCHMARKS
from sweep.study.registered import RegisteredRecovery

MARGIN = 0.01
# The paper registered that IS-KPO has to close half of the gap (text beside its Table 1).
RECOVERY_THRESHOLD = 0.5
RECOVERY_COLUMNS = (
    "arm", "registered", "value", "low", "high", "bootstrap_low", "bootstrap_high", "gap", "gap_p", "verdict", "reason",
)  # fmt: skip
SURFACE_COLUMNS = ("surface", "kind", "arms", "reason", "gain", "threshold", "value", "low", "high", "extrapolated")
TAIL_COLUMNS = (
    "arm", "steps", "held_out", "tail_from", "shape", "x", "predicted", "low", "high", "observed", "inside", "beyond",
    "reason",
)  # fmt: skip
_REGISTERED, _ENDS = "IS-KPO-weak", ("KPO-strong", "KPO-weak")
_MOST = 12
_FEWEST_RESAMPLES, _DRAWS = 1000, 200_000


@dataclass(frozen=True)
class Analysis:
    """What was computed, as tables; every share runs from 0 to 1.

    Attributes:
        verdicts: Right samples by arm, seed, benchmark and problem (`verdict_counts`).
        comparison: Every arm against the reference; None where there is nothing to compare.
        comparisons: Its rows, with ``identical`` (no problem differs); empty where there is nothing to compare.
        registered: `REGISTERED_COLUMNS`: the comparisons that the study registered.
        recovery: `RECOVERY_COLUMNS`: of the gap between two arms, registered or else the paper's KPO-strong and
            KPO-weak, for the registered arm and each arm that clips.
        recovery_ends: Labels of the arms at the gap's upper and lower end.
        recovery_threshold: The share that counts as recovered.
        recovery_missing: Why there is no row of recovery; else empty.
        settings: From `setting_effects`.
        surfaces: `SURFACE_COLUMNS`: accuracy and clip fraction at the arms' own settings and in their middle.
        tails: `TAIL_COLUMNS`: one row an arm and level.
        next: From `next_study`: what would find a difference as large as the margin, or the largest seen.
        notes: Sentences about what cannot be said.
    """

    verdicts: pd.DataFrame
    comparison: ComparisonTable | None
    comparisons: pd.DataFrame
    registered: pd.DataFrame
    recovery: pd.DataFrame
    recovery_ends: tuple[str, str]
    recovery_threshold: float
    recovery_missing: str
    settings: pd.DataFrame
    surfaces: pd.DataFrame
    tails: pd.DataFrame
    next: pd.DataFrame
    notes: tuple[str, ...]


def analyse(
    *,
    study: StudyRecord,
    arms: pd.DataFrame,
    reference: str | None,
    margin: float = MARGIN,
    verdicts: pd.DataFrame | None = None,
) -> Analysis:
    """Compute all statistics of a study.

    Planned comparisons are those that the study file registers; where it registers none, those of arms that repeat a
    configuration of the paper, which were named before this study's data were seen. All others are exploratory.

    Args:
        study: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        reference: The arm that others are compared with; None where none was evaluated.
        margin: Largest difference of accuracy that does not matter, a share.
        verdicts: The study's `verdict_counts`, where they have been counted already.
    """
    verdicts = verdict_counts(samples=study.samples) if verdicts is None else verdicts
    comparison = None
    if reference is not None and verdicts["arm"].nunique() > 1:
        evaluated = set(verdicts["arm"].unique())
        planned = [arm for arm in arms.loc[arms["title"] != "", "arm"] if arm in evaluated and arm != reference]
        if study.registered is not None and study.registered.comparisons:
            # The study's own list is tested by itself; what is compared with the reference beside it is exploratory.
            planned = []
        # The bootstrap's work grows with arms; its ends need no more digits than the report prints.
        resamples = int(np.clip(_DRAWS // len(evaluated), _FEWEST_RESAMPLES, 10_000))
        comparison = compare_arms(
            verdicts=verdicts, baseline=reference, planned=planned, margin=margin, resamples=resamples
        )
    plan = study.registered.recovery if study.registered else None
    recovery, missing = _recovery(verdicts, arms, plan)
    ends = tuple(arm_label(arm=row_of(arms=arms, name=name)) for name in (plan.upper, plan.lower)) if plan else _ENDS
    return Analysis(
        verdicts=verdicts,
        comparison=comparison,
        comparisons=_identical(comparison),
        registered=registered_comparisons(verdicts=verdicts, registered=study.registered),
        recovery=recovery,
        recovery_ends=(ends[0], ends[1]),
        recovery_threshold=plan.at_least if plan else RECOVERY_THRESHOLD,
        recovery_missing=missing,
        settings=setting_effects(verdicts=verdicts, settings=arms) if comparison else pd.DataFrame(),
        surfaces=_surfaces(verdicts, arms),
        tails=tail_table(histograms=study.histograms, arms=arms),
        next=_next(comparison, verdicts, margin),
        notes=comparison.notes if comparison else (),
    )


def _identical(comparison: ComparisonTable | None) -> pd.DataFrame:
    if comparison is None:
        return pd.DataFrame(columns=["arm", "benchmark", "planned", "difference", "low", "high", "p", "p_adjusted",
                                     "problems", "identical"])  # fmt: skip
    rows = comparison.rows
    return rows.assign(identical=(rows["difference"] == 0) & (rows["standard_error"] == 0) & (rows["p"] == 1))


def _recovery(verdicts: pd.DataFrame, arms: pd.DataFrame, plan: RegisteredRecovery | None) -> tuple[pd.DataFrame, str]:
    """The registered arm and every arm with a threshold, between the ends of the gap."""
    nothing = pd.DataFrame(columns=list(RECOVERY_COLUMNS))
    evaluated = set(verdicts["arm"].unique())
    titles = arms[arms["arm"].isin(evaluated)].drop_duplicates("title").set_index("title")["arm"].to_dict()
    upper, lower = (plan.upper, plan.lower) if plan else (titles.get(title) for title in _ENDS)
    wanted = (plan.upper, plan.lower, plan.arm) if plan else _ENDS
    known = evaluated if plan else set(titles)
    if lacking := [name for name in wanted if name not in known]:
        return nothing, f"this study has not evaluated {' or '.join(lacking)}, so there is no gap to recover"
    registered = arms["arm"] == plan.arm if plan else arms["title"] == _REGISTERED
    able = (np.isfinite(arms["kappa"]) | registered) & arms["arm"].isin(evaluated) & ~arms["arm"].isin([upper, lower])
    # Of many arms the registered one and those that clipped most: each takes a bootstrap.
    candidates = arms[able].assign(registered=registered[able])
    candidates = candidates.sort_values(["registered", "clip_fraction"], ascending=False, kind="stable").head(_MOST)
    candidates = candidates.sort_values("number")
    if candidates.empty:
        return nothing, "no evaluated arm has a threshold"
    rows = []
    for _, arm in candidates.iterrows():
        try:
            found = arm_recovery(
                verdicts=verdicts[verdicts["arm"].isin([upper, lower, arm["arm"]])],
                upper=str(upper),
                lower=str(lower),
                candidate=arm["arm"],
                threshold=plan.at_least if plan else RECOVERY_THRESHOLD,
            )
        except ValueError as error:  # no problem in common
            rows.append({"arm": arm["arm"], "registered": bool(arm["registered"]), "verdict": "undefined",
                         "reason": str(error)})  # fmt: skip
            continue
        rows.append(
            {
                "arm": arm["arm"],
                "registered": bool(arm["registered"]),
                **{name: getattr(found, name) for name in RECOVERY_COLUMNS[2:7]},
                "gap": found.gap.value,
                "gap_p": found.gap.p,
                "verdict": found.verdict,
                "reason": found.reason,
            }
        )
    return pd.DataFrame(rows, columns=list(RECOVERY_COLUMNS)), ""


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


def step_counts(*, histograms: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Tokens by training step and bin (T, BINS), seeds added up: the seeds of a step share prompts and policy age."""
    steps, rows = np.unique(histograms["step"].to_numpy(np.int64), return_inverse=True)
    bins = np.searchsorted(EDGES, histograms["lower"].to_numpy(np.float64), side="right") - 1
    counts = np.zeros((len(steps), len(EDGES) - 1), dtype=np.int64)
    np.add.at(counts, (rows, bins), histograms["tokens"].to_numpy(np.int64))
    return counts


def tail_table(*, histograms: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Tail models of every arm in which nothing was clipped, with what they say of the steps they were not fitted to.

    The last third of the steps is held out, or fewer where the fit would be left with less than it needs: training's
    own future is what a prediction is for. Of many such arms twelve are fitted, spread evenly over their gains.

    Args:
        histograms: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.

    Returns:
        `TAIL_COLUMNS`, three levels an arm: twice and four times where the tail begins, and twice the largest bin seen.
    """
    rows: list[dict[str, object]] = []
    unclipped = arms[~(arms["clipped_tokens"] > 0) & arms["arm"].isin(set(histograms["arm"].unique()))]
    # An arm whose threshold was never reached trained like the one without, and would only repeat it.
    if np.isinf(unclipped["kappa"]).any():
        unclipped = unclipped[np.isinf(unclipped["kappa"])]
    if len(unclipped) > _MOST:
        # Evenly over the gains: tails depend on little else, and each fit takes a tenth of a second.
        places = np.linspace(0, len(unclipped) - 1, _MOST).round().astype(int)
        unclipped = unclipped.sort_values("gain", kind="stable").iloc[places]
    for name in unclipped["arm"]:
        counts = step_counts(histograms=histograms[histograms["arm"] == name])
        held = min(max(1, len(counts) // 3), len(counts) - FEWEST_STEPS)
        common = {"arm": name, "steps": len(counts), "held_out": max(held, 0)}
        if held < 1:
            reason = f"{len(counts)} steps are too few: {FEWEST_STEPS} are fitted and one is held out"
            rows.append({**common, "reason": reason})
            continue
        apart = np.arange(len(counts)) >= len(counts) - held
        try:
            start = tail_threshold(counts=counts[~apart])
            highest = float(EDGES[np.flatnonzero(counts[~apart].sum(axis=0))[-1]])
            levels = sorted({2 * start, 4 * start, 2 * highest})
            model, table = validate_tail(counts=counts, held_out=apart, levels=levels, threshold=start)
        except ValueError as error:
            rows.append({**common, "reason": str(error)})
            continue
        of_model = {**common, "tail_from": model.threshold, "shape": model.shape, "reason": ""}
        rows += [{**of_model, **{k: row[k] for k in TAIL_COLUMNS if k in row}} for row in table.to_dict("records")]
    return pd.DataFrame(rows, columns=list(TAIL_COLUMNS))


def _next(comparison: ComparisonTable | None, verdicts: pd.DataFrame, margin: float) -> pd.DataFrame:
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


def exceedance(*, histograms: pd.DataFrame) -> pd.DataFrame:
    """Share of tokens with |innovation| / sigma of at least x, at the bounds of bins, over all steps and seeds.

    Args:
        histograms: Of one arm, from `reports.data.load`.

    Returns:
        Columns x and share; x = 0, where the share is 1, is left out.
    """
    counts = step_counts(histograms=histograms).sum(axis=0)
    above = np.cumsum(counts[::-1])[::-1]
    keep = (above > 0) & (EDGES[:-1] > 0)
    total = max(int(above[0]), 1) if len(above) else math.nan
    return pd.DataFrame({"x": EDGES[:-1][keep], "share": above[keep] / total})
