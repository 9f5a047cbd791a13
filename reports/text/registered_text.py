"""Cells and sentences of the comparisons that a study registered, and what its seeds allow to say of them."""

import math
from typing import Any

import pandas as pd

from reports.analysis.arms import arm_label, row_of
from reports.analysis.study_statistics import Analysis
from reports.data.numbers import MISSING, NOTHING, count, number, p_value, points

_LEVEL = 0.05


def registered_content(*, analysis: Analysis, arms: pd.DataFrame) -> dict[str, Any]:
    """Rows of the document's table, and sentences below it.

    Args:
        analysis: From `reports.analysis.study_statistics.analyse`.
        arms: From `reports.analysis.arms.arm_table`.
    """
    rows = [row for _, row in analysis.registered.iterrows()]
    tested = [row for row in rows if not row["reason"]]
    notes = [pooling_note(analysis=analysis)] if analysis.pooled and tested else []
    notes += [_separate_note(row, arms) for row in tested if analysis.pooled and row["seeds"] > 1]
    notes += [two_seeds_note(row=row, arms=arms, analysis=analysis) for row in tested if row["seeds"] == 2]
    return {"registered": [_row(row, arms) for row in rows], "registered_notes": notes}


def _row(row: "pd.Series[Any]", arms: pd.DataFrame) -> list[str]:
    pair = []
    for name in ("arm", "reference"):
        arm = row_of(arms=arms, name=row[name])
        pair.append(f"{arm['number']} {arm_label(arm=arm)}")
    if row["reason"]:
        return [*pair, NOTHING, NOTHING, NOTHING, NOTHING, f"not tested: {row['reason']}"]
    verdict = str(row["verdict"])
    if row["seeds"] == 1 and verdict in ("better", "worse"):
        verdict = f"this trained model is {verdict}"
    ends = MISSING if math.isnan(row["low"]) else _ends(row["low"], row["high"])
    numbers = [points(row["difference"], sign=True), ends, p_value(row["p"]), p_value(row["p_adjusted"])]
    return [*pair, *numbers, verdict]


def _ends(low: float, high: float) -> str:
    return f"{points(low, sign=True)} to {points(high, sign=True)}"


def _pair(row: "pd.Series[Any]", arms: pd.DataFrame) -> str:
    names = [arm_label(arm=row_of(arms=arms, name=row[name])) for name in ("arm", "reference")]
    return " against ".join(names)


def pooling_note(*, analysis: Analysis) -> str:
    """Over what the variance between seeds was pooled, and whether the arms' own look alike."""
    found = analysis.seed_variance
    if found is None:
        return "Pooling was registered; no two arms share two seeds, so each comparison stands by itself."
    low, high = (points(value) for value in (min(found.deviations), max(found.deviations)))
    begin = (
        f"The variance between training seeds is pooled over {count(found.arms, 'arm')}, as registered before the run: "
        f"standard deviation {points(math.sqrt(found.variance))} points, "
        f"{number(found.degrees_of_freedom)} degrees of freedom; the arms' own are {low} to {high}."
    )
    if math.isnan(found.p_alike):
        return f"{begin} Whether seeds move both arms alike cannot be tested with so few arms."
    bartlett = f"Bartlett's test, p = {p_value(found.p_alike)}".replace("= <", "<")
    if found.p_alike < _LEVEL:
        return f"{begin} They are not alike ({bartlett}): go by the separate intervals."
    return f"{begin} No difference between them is found ({bartlett}), which with few seeds only a large one would be."


def _separate_note(row: "pd.Series[Any]", arms: pd.DataFrame) -> str:
    if math.isnan(row["separate_low"]):
        return f"{_pair(row, arms)}, without pooling: no interval."
    ends = _ends(row["separate_low"], row["separate_high"])
    return f"{_pair(row, arms)}, without pooling: {ends} points, p = {p_value(row['separate_p'])}.".replace("= <", "<")


def two_seeds_note(*, row: "pd.Series[Any]", arms: pd.DataFrame, analysis: Analysis) -> str:
    """What two seeds can say of a pair, what pooling makes of them, and how many seeds would do.

    Args:
        row: Of `reports.analysis.registered_results.registered_comparisons`, with two common seeds.
        arms: From `reports.analysis.arms.arm_table`.
        analysis: Of the same study.
    """
    signs = "both seeds agree in sign" if row["same_sign"] else "the two seeds do not agree in sign"
    sentence = (
        f"{_pair(row, arms)}: {signs}; these trained models differ by {points(row['difference'], sign=True)} points "
        f"[{_ends(row['models_low'], row['models_high'])}], over problems alone."
    )
    if not math.isnan(row["separate_low"]):
        half = points((row["separate_high"] - row["separate_low"]) / 2)
        sentence += f" Two seeds alone cannot show that their settings differ, unless by much more than ±{half} points"
        found = analysis.seed_variance
        if found is not None and found.degrees_of_freedom > 1 and not analysis.pooled:
            half = points((row["pooled_high"] - row["pooled_low"]) / 2)
            sentence += f"; pooled over {count(found.arms, 'arm')}, which was not registered, it would be ±{half}"
        sentence += "."
    if not math.isnan(row["seeds_needed"]):
        sentence += f" As far as two seeds tell, {row['seeds_needed']:.0f} would find a difference as large."
    return sentence
