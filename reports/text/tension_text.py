"""The verdict on the tension in words, computed from the arms, their samples and the replay."""

import math
from typing import Any

import pandas as pd

from reports.analysis.arms import can_clip, reference_arm, row_of
from reports.analysis.tension import Bounds, without_threshold
from reports.data.numbers import count, ends, listing, number, per_cent, points
from reports.statistics.crossed import CrossedEstimate
from reports.statistics.differences import difference, paired_tables
from reports.text.claims import Claim, Sentence, comparison_claims, low_gain_clipping
from reports.text.verdict import clipped_share, named, numbers_of


def deciding_arm(*, arms: pd.DataFrame, bounds: Bounds) -> str | None:
    """The arm that clipped most among those with a low gain and active clipping, evaluated ones first; None without."""
    found = _inside(arms, bounds)
    if found.empty:
        return None
    evaluated = found[found["accuracy"].notna()]
    among = found if evaluated.empty else evaluated
    return str(among.sort_values("clip_fraction", kind="stable")["arm"].iloc[-1])


def clipping_sentences(
    *, arms: pd.DataFrame, verdicts: pd.DataFrame, bounds: Bounds, grid: pd.DataFrame
) -> list[Sentence]:
    """What is said of clipping: first the sentence of the first page, then what there is beyond it.

    Nothing where no arm has a threshold. Where an arm has a low gain and active clipping, it decides, and the first
    sentence says all; otherwise that says what was clipped, and the second how near the study came.

    Args: as for `tension_sentence`.
    """
    if not can_clip(arms=arms).any():
        return []
    tension = tension_sentence(arms=arms, verdicts=verdicts, bounds=bounds, grid=grid)
    return [tension] if deciding_arm(arms=arms, bounds=bounds) else [_clipped(arms, bounds), tension]


def tension_sentence(*, arms: pd.DataFrame, verdicts: pd.DataFrame, bounds: Bounds, grid: pd.DataFrame) -> Sentence:
    """Whether a setting has a low gain and active clipping, and what that did to accuracy.

    The arm spoken of is chosen by its clip fraction, never by its accuracy, which leaves the interval as it is. It is
    compared with the same filter without a threshold, or where that was not run with the reference among the arms that
    have its settings: between two learning rates the threshold would be the least of the differences.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        verdicts: From `verdict_counts`.
        bounds: What is low and what is active.
        grid: From `reports.analysis.tension.replayed_grid`; may be empty.
    """
    wanted = _wanted(bounds)
    name = deciding_arm(arms=arms, bounds=bounds)
    if name is None:
        return Sentence(f"No arm of this study had {wanted}. {_missing(arms, bounds)}{_replayed(grid, bounds)}")
    arm, inside = row_of(arms=arms, name=name), _inside(arms, bounds)
    realised = "" if math.isnan(arm["realised_gain"]) else f", realised {per_cent(arm['realised_gain'], digits=2)} %"
    if not math.isnan(arm["outside_share"]):
        realised += f", {per_cent(arm['outside_share'], digits=2)} % of tokens outside the bounds"
    begin = (
        f"{len(inside)} of {count(len(arms), 'arm')} ({numbers_of(arms=inside)}) had {wanted}. "
        f"Most was clipped in {named(arm=arm)}, {clipped_share(arm=arm)} % of tokens at a steady-state gain of "
        f"{per_cent(arm['gain'])} %{realised}"
    )
    clipping = low_gain_clipping(arms=inside)
    other = without_threshold(arms=arms, arm=arm)
    reference = reference_arm(arms=arms[arms["settings"] == arm["settings"]])
    partner, which = (other, "the same filter without threshold") if other else (reference, "the reference")
    if partner is None or partner == name or math.isnan(arm["accuracy"]):
        return Sentence(f"{begin}; what that did to accuracy was not measured.", clipping)
    tables = paired_tables(verdicts=verdicts, arm=name, other=partner)
    if not tables:
        return Sentence(f"{begin}; it shares no problem with {which}, so nothing is said of accuracy.", clipping)
    against = named(arm=row_of(arms=arms, name=partner))
    words, claims = _difference(difference(tables=tables), name, partner)
    return Sentence(f"{begin}; against {which}, {against}, {words}.", [*clipping, *claims])


def map_note(*, grid: pd.DataFrame, bounds: Bounds) -> str:
    """Where the map's shades come from, and what its region is."""
    which = "registered in the study file" if bounds.registered else "the lowest of the paper's clipping arms"
    region = (
        f"Hatched: a gain {'of at most' if bounds.registered else 'below'} {per_cent(bounds.gain, digits=2)} % "
        f"({which}) and at least {per_cent(bounds.clip_fraction)} % of tokens clipped"
    )
    if grid.empty:
        return f"{region}, as far as the largest innovation reaches: no log ratios were kept that could be replayed."
    tokens, trials = int(grid["tokens"].iloc[0]), int(grid["trials"].iloc[0])
    return (
        f"{region}. Background: clipped under replay of {count(tokens, 'log ratio')} of {count(trials, 'trial')}, "
        "from P₀ = 0; the policy does not move under replay, so it is no forecast of training."
    )


def _inside(arms: pd.DataFrame, bounds: Bounds) -> pd.DataFrame:
    return arms[can_clip(arms=arms) & bounds.low_arms(arms) & bounds.active_arms(arms)]


def _clipped(arms: pd.DataFrame, bounds: Bounds) -> Sentence:
    """In which arms any token was clipped, none of them as much as counts at a low gain."""
    measured = arms[can_clip(arms=arms) & arms["clip_fraction"].notna()]
    if measured.empty:
        return Sentence(
            "No arm with a threshold has recorded how much was clipped, so nothing can be said about clipping."
        )
    clipping = measured[measured["clip_fraction"] > 0]
    if clipping.empty:
        return Sentence(
            f"No token was clipped in the {count(len(measured), 'arm')} with a threshold. The largest |innovation| was "
            f"{number(measured['max_innovation'].max())}, the lowest threshold {number(measured['threshold'].min())} "
            "in the steady state."
        )
    gain = f"{per_cent(bounds.gain, digits=2)} %"
    side = f"of at most {gain}" if bounds.registered else f"below that of every clipping arm of the paper ({gain})"
    least = clipping.sort_values("gain", kind="stable").iloc[0]
    return Sentence(
        f"Tokens were clipped in {len(clipping)} of {count(len(measured), 'arm')} with a threshold, in none of them "
        f"{per_cent(bounds.clip_fraction)} % of tokens or more at a gain {side} (lowest gain: {named(arm=least)}, "
        f"steady state {per_cent(least['gain'])} %, {clipped_share(arm=least)} % clipped). Whether that can happen at "
        "a low gain, this study does not show."
    )


def _wanted(bounds: Bounds) -> str:
    gain = f"{per_cent(bounds.gain, digits=2)} %"
    side = f"of at most {gain}" if bounds.registered else f"below that of the paper's clipping arms ({gain})"
    named_before = [
        word for word, known in (("gain", bounds.registered), ("clipping", bounds.clip_registered)) if known
    ]
    registered = f" (bound{'s' if len(named_before) > 1 else ''} of {listing(named_before)} registered before the run)"
    return (
        f"a gain {side} and clipped at least {per_cent(bounds.clip_fraction)} % of tokens"
        f"{registered if named_before else ''}"
    )


def _missing(arms: pd.DataFrame, bounds: Bounds) -> str:
    low = arms[bounds.low_arms(arms) & can_clip(arms=arms)]
    measured = low[low["clip_fraction"].notna()]
    if low.empty:
        return "None has a threshold at so low a gain: the study does not ask the question."
    if measured.empty:
        return "None with a threshold at so low a gain has recorded how much it clipped."
    most: pd.Series[Any] = measured.sort_values("clip_fraction", kind="stable").iloc[-1]
    return (
        f"Of {count(len(measured), 'arm')} with a threshold at so low a gain, {named(arm=most)} clipped most: "
        f"{clipped_share(arm=most)} % of tokens."
    )


def _replayed(grid: pd.DataFrame, bounds: Bounds) -> str:
    """Up to which threshold as much would be clipped at every low gain that was replayed, or else at some."""
    low = grid[bounds.low(grid["gain"])] if len(grid) else grid
    # A threshold counts if none below it clips too little.
    reached = [_largest_reaching(of_gain, bounds.clip_fraction) for _, of_gain in low.groupby("gain", sort=True)]
    able = [threshold for threshold in reached if not math.isnan(threshold)]
    if not able:
        return ""
    where = "at every such gain" if len(able) == len(reached) else f"at {len(able)} of {len(reached)} such gains"
    return (
        f" Under replay of its log ratios, thresholds up to {min(able):.2g} would have clipped as much {where}; the "
        "policy does not move under replay."
    )


def _largest_reaching(of_gain: pd.DataFrame, clip_fraction: float) -> float:
    table = of_gain.sort_values("threshold")
    enough = (table["clip_fraction"] >= clip_fraction).cummin()
    return float(table.loc[enough, "threshold"].max()) if enough.any() else math.nan


def _difference(estimate: CrossedEstimate, arm: str, other: str) -> tuple[str, list[Claim]]:
    """In words, and what they claim."""
    value = f"accuracy differed by {points(estimate.value, sign=True)} points"
    if math.isnan(estimate.low):
        return f"{value}, without an interval", []
    over = (
        f"over {estimate.seeds} seeds and {count(estimate.problems, 'problem')}"
        if estimate.seeds > 1
        else f"over {count(estimate.problems, 'problem')}, one training seed"
    )
    row = pd.DataFrame([{"arm": arm, "reference": other, "difference": estimate.value, **vars(estimate)}])
    claims = comparison_claims(rows=row, established=False)
    if estimate.low <= 0 <= estimate.high:
        told = "0 lies inside: no effect is established"
    else:
        claims += comparison_claims(rows=row, established=True)
        told = "0 lies outside"
        if estimate.seeds == 1:
            told += ": these two trained models differ; whether their settings do, one seed cannot show"
    return f"{value} (95 % interval {ends(estimate.low, estimate.high)}, {over}); {told}", claims
