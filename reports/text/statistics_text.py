"""Cells and sentences of the document's statistical sections, from `reports.analysis.study_statistics`."""

import math
from typing import Any

import pandas as pd

from reports.analysis.arms import number_and_label, row_of
from reports.analysis.registered_results import RecoveryTable
from reports.analysis.study_statistics import Analysis
from reports.data.numbers import (
    MISSING,
    NOTHING,
    count,
    ends,
    interval,
    number,
    number_interval,
    p_value,
    per_cent,
    points,
)
from reports.statistics.verdicts import ALL_BENCHMARKS
from reports.text.claims import Sentence, recovery_claim
from reports.text.registered_text import registered_content

# Three levels an arm, of twelve arms; all are exported.
_MOST_TAILS = 36


def statistics_content(
    *, analysis: Analysis, arms: pd.DataFrame, shown: list[str], trial_minutes: float
) -> dict[str, Any]:
    """Texts and cells of comparisons, recovery, settings, surfaces, tails and the next study.

    Args:
        analysis: From `reports.analysis.study_statistics.analyse`.
        arms: From `reports.analysis.arms.arm_table`.
        shown: Arms whose rows are shown.
        trial_minutes: Mean wall time of a finished trial of this study; NaN where none has finished.
    """
    rows = _ordered(analysis, arms, shown)
    return {
        "comparisons": _comparisons(rows, arms),
        "effects": _effects(rows, analysis, arms),
        "margin": points(analysis.comparison.margin) if analysis.comparison else "",
        "statistics_notes": [note for note in analysis.notes if not note.startswith("p_permutation")],
        **registered_content(analysis=analysis, arms=arms),
        "recovery_threshold": per_cent(analysis.recovery.at_least),
        "recovery_ends": list(analysis.recovery.ends),
        "recovery": [_recovery_row(row, arms) for _, row in analysis.recovery.rows.iterrows()],
        "recovery_sentence": recovery_sentence(recovery=analysis.recovery, arms=arms),
        "settings": [_setting_row(row) for _, row in analysis.settings.iterrows()],
        "surfaces": [_surface_row(row) for _, row in analysis.surfaces.iterrows() if not math.isnan(row["value"])],
        "surface_notes": [
            f"{str(row['surface']).capitalize()}: {row['kind'] if row['kind'] != 'none' else 'no surface'} over "
            f"{count(int(row['arms']), 'arm')}{'; ' + row['reason'] if row['reason'] else ''}."
            for _, row in analysis.surfaces.drop_duplicates("surface").iterrows()
        ],
        "tails": [
            _tail_row(row, arms) for _, row in analysis.tails[analysis.tails["x"].notna()].head(_MOST_TAILS).iterrows()
        ],
        "tail_notes": _tail_notes(analysis, arms),
        "next": [_next_row(row) for _, row in analysis.next.iterrows()],
        "next_cost": next_cost(minutes=trial_minutes),
        "next_sentence": _next_sentence(analysis, arms),
    }


def _ordered(analysis: Analysis, arms: pd.DataFrame, shown: list[str]) -> pd.DataFrame:
    rows = analysis.comparisons[analysis.comparisons["arm"].isin(shown)]
    if len(arms) > len(shown) and (rows["benchmark"] == ALL_BENCHMARKS).any():
        # A page of many arms has room for the benchmarks' mean, which is what is tested; the rest is exported.
        rows = rows[rows["benchmark"] == ALL_BENCHMARKS]
    order = rows["arm"].map(arms.set_index("arm")["number"])
    return rows.assign(order=order).sort_values(["benchmark", "order"], kind="stable")


def _benchmark(name: str) -> str:
    return "mean of all" if name == ALL_BENCHMARKS else str(name)


def _comparisons(shown: pd.DataFrame, arms: pd.DataFrame) -> list[list[str]]:
    rows = []
    for _, row in shown.iterrows():
        rows.append(
            [
                _benchmark(row["benchmark"]),
                *number_and_label(arms=arms, name=row["arm"]),
                points(row["difference"], sign=True),
                f"no problem differs; ±{points(row['high'])}" if row["identical"] else ends(row["low"], row["high"]),
                p_value(row["p"]),
                _corrected(row),
                {True: "yes", False: "no"}[bool(row["equivalent"])],
            ]
        )
    return rows


def _corrected(row: "pd.Series[Any]") -> str:
    if row["registered"]:
        return "registered"
    return p_value(row["p_adjusted"]) + ("" if math.isnan(row["p_adjusted"]) else " H" if row["planned"] else " BH")


def _effects(shown: pd.DataFrame, analysis: Analysis, arms: pd.DataFrame) -> list[list[str]]:
    if analysis.comparison is None:
        return []
    odds = analysis.comparison.odds.set_index("arm")
    rows = []
    for _, row in shown.iterrows():
        if row["identical"]:
            continue
        fit = odds.loc[row["arm"]]
        rows.append(
            [
                _benchmark(row["benchmark"]),
                *number_and_label(arms=arms, name=row["arm"]),
                number(row["cohen_h"], digits=2),
                interval(row["improvement"], row["improvement_low"], row["improvement_high"]),
                number_interval(fit["odds_ratio"], fit["low"], fit["high"]),
                points(row["detectable"]),
                ends(row["simultaneous_low"], row["simultaneous_high"]),
                p_value(row["p_permutation"]),
                p_value(row["p_mcnemar"]) if not math.isnan(row["p_mcnemar"]) else NOTHING,
                p_value(row["p_ignoring_clustering"]),
            ]
        )
    return rows


def _recovery_row(row: "pd.Series[Any]", arms: pd.DataFrame) -> list[str]:
    low, high = row["low"], row["high"]
    return [
        *number_and_label(arms=arms, name=row["arm"]),
        "registered" if row["registered"] else "exploratory",
        per_cent(row["value"]),
        MISSING if math.isnan(low) else f"{per_cent(low)} to {per_cent(high)}",
        str(row["verdict"]),
    ]


def recovery_sentence(*, recovery: RecoveryTable, arms: pd.DataFrame) -> Sentence:
    """Result of the registered recovery, or why there is none."""
    half = f"{per_cent(recovery.at_least)} %"
    if recovery.missing:
        return Sentence(f"Recovery: {recovery.missing}.")
    registered = recovery.rows[recovery.rows["registered"]]
    row = (recovery.rows if registered.empty else registered).iloc[0]
    name = row_of(arms=arms, name=row["arm"])["label"]
    if row["verdict"] == "undefined":
        return Sentence(
            f"Recovery of the gap by {name} is undefined: {row['reason']}; a fraction of nothing has no value."
        )
    words = {
        "reached": f"reached the threshold of {half}",
        "missed": f"missed the threshold of {half}",
        "open": f"cannot be told from the threshold of {half}",
    }
    upper, lower = recovery.ends
    return Sentence(
        f"{name} recovered {per_cent(row['value'])} % of the gap of {points(row['gap'])} points between {upper} and "
        f"{lower} (95 % interval {per_cent(row['low'])} to {per_cent(row['high'])} %): it {words[row['verdict']]}."
        + (
            " That speaks of the models that were trained: one seed says nothing of others."
            if row["seeds"] == 1
            else ""
        ),
        [recovery_claim(row=row, at_least=recovery.at_least)] if row["verdict"] != "open" else [],
    )


_MODELS = {"log_gain": "gain", "log_threshold": "threshold", "clip_fraction": "clip fraction"}
_UNITS = {
    "log_gain": "gain × e",
    "log_threshold": "threshold × e",
    "clip_fraction": "clip fraction + 10 points",
}


def _setting_row(row: "pd.Series[Any]") -> list[str]:
    model = " and ".join(_MODELS[name] for name in str(row["model"]).split(", "))
    cells = [model, _UNITS[str(row["name"])], str(int(row["arms"]))]
    if row["reason"]:
        return [*cells, NOTHING, NOTHING, NOTHING, str(row["reason"])]
    freedom = number(row["degrees_of_freedom"], digits=2)
    return [*cells, number_interval(row["odds_ratio"], row["low"], row["high"]), p_value(row["p"]), freedom, ""]


def _surface_row(row: "pd.Series[Any]") -> list[str]:
    return [
        str(row["surface"]),
        per_cent(row["gain"]),
        number(row["threshold"]),
        f"{per_cent(row['value'])} [{per_cent(row['low'])}, {per_cent(row['high'])}]",
        "outside of the arms" if row["extrapolated"] else "",
    ]


def _tail_row(row: "pd.Series[Any]", arms: pd.DataFrame) -> list[str]:
    return [
        *number_and_label(arms=arms, name=row["arm"]),
        f"{int(row['steps'] - row['held_out'])} + {int(row['held_out'])}",
        number(row["tail_from"], digits=2),
        number(row["shape"], digits=2),
        number(row["x"], digits=2),
        f"{per_cent(row['predicted'], digits=2)} [{per_cent(row['low'], digits=2)}, {per_cent(row['high'], digits=2)}]",
        per_cent(row["observed"], digits=2),
        ("yes" if row["inside"] else "no") + (", beyond" if row["beyond"] else ""),
    ]


def _tail_notes(analysis: Analysis, arms: pd.DataFrame) -> list[str]:
    if analysis.tails.empty:
        return ["No tail was fitted: no finished arm has recorded its innovations without clipping some of them."]
    without = analysis.tails[analysis.tails["x"].isna()]
    notes = [
        f"Arm {number_and_label(arms=arms, name=row['arm'])[0]}: no tail model; {row['reason']}."
        for _, row in without.iterrows()
    ]
    more = len(notes) - 6
    return notes if more <= 0 else [*notes[:6], f"{count(more, 'further arm')} without a tail model: data/tails.csv."]


def _next_row(row: "pd.Series[Any]") -> list[str]:
    seeds = NOTHING if math.isnan(row["seeds"]) else str(int(row["seeds"]))
    return [
        str(int(row["problems"])),
        seeds,
        points(row["detectable"]) if seeds != NOTHING else NOTHING,
        points(row["one_seed_detectable"]),
    ]


def _next_sentence(analysis: Analysis, arms: pd.DataFrame) -> str:
    if analysis.next.empty:
        return "Without two arms that differ there are no variances to plan the next study with."
    row = analysis.next.iloc[0]
    label = " ".join(number_and_label(arms=arms, name=row["arm"]))
    sentence = (
        f"The table plans for a difference of {points(row['effect'])} points, to be found with 80 % power, from the "
        f"variances of the comparison that varied most (arm {label}). A dash: more than 64 seeds, or not known."
    )
    if analysis.comparison is not None and (analysis.comparison.rows["seeds"] > 1).any():
        return sentence
    return (
        f"{sentence} With one seed nothing is known about how much seeds differ, and their number cannot be planned: "
        "run this study again with three seeds first. What one seed would find about its own models stands in the last "
        "column."
    )


def next_cost(*, minutes: float) -> str:
    """The time that a further seed of two arms takes, at this study's pace.

    >>> next_cost(minutes=1.5), next_cost(minutes=float("nan"))
    ('A trial took 1.5 minutes here, so each further seed of two arms takes 3, on the same machine.', '')
    """
    if math.isnan(minutes):
        return ""
    return (
        f"A trial took {number(minutes, digits=2)} minutes here, so each further seed of two arms takes "
        f"{number(2 * minutes, digits=2)}, on the same machine."
    )
