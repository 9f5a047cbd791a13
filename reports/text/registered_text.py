"""Cells and sentences of the comparisons that a study registered, and what its seeds allow to say of them."""

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from reports.analysis.arms import row_of
from reports.analysis.study_statistics import Analysis
from reports.data.numbers import NOTHING, count, difference, ends, number, p_value, per_cent, points
from reports.text.claims import Sentence, comparison_claims

_LEVEL = 0.05
_MOST_SENTENCES = 3
# Below, the level of a test with a pooled variance is 7 % (benchmarks/calibration.md).
_FEW_DEGREES = 3


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


def registered_sentences(*, analysis: Analysis, arms: pd.DataFrame) -> list[Sentence]:
    """What came of each registered comparison; of many, what is established, and how many are not.

    With two seeds the difference of the trained models stands beside that of the settings, and where both were measured
    the shares of tokens outside the bounds do, by which arms differ too.

    Args:
        analysis: From `reports.analysis.study_statistics.analyse`.
        arms: From `reports.analysis.arms.arm_table`.
    """
    rows = [row for _, row in analysis.registered.iterrows()]
    if len(rows) <= _MOST_SENTENCES:
        return [_sentence(row, arms) for row in rows]
    sure = [row for row in rows if row["verdict"] in ("better", "worse")]
    begin = f"Of {count(len(rows), 'registered comparison')}, {len(sure)} are established at 5 % after correction."
    rest = max(rows, key=lambda row: row["high"] - row["low"] if not math.isnan(row["high"]) else -1.0)
    shown = sure[:_MOST_SENTENCES] or [rest]
    what = [] if sure else ["The least certain of them:"]
    parts = [_sentence(row, arms, begin="") for row in shown]
    return [Sentence(" ".join([begin, *what, *parts]), [claim for part in parts for claim in part.claims])]


def _sentence(row: "pd.Series[Any]", arms: pd.DataFrame, begin: str = "Registered: ") -> Sentence:
    pair = f"{begin}{_pair(row, arms)}"
    if row["reason"]:
        return Sentence(f"{pair} was not tested: {row['reason']}.")
    p = f"p = {p_value(row['p_adjusted'])}".replace("= <", "<")
    seeds = count(int(row["seeds"]), "seed")
    text = f"{pair}, {difference(*row[['difference', 'low', 'high']])}, {p} after correction, {seeds}: "
    claims = comparison_claims(rows=row.to_frame().T, established=False)
    if row["verdict"] == "open":
        text += "no difference is established."
    elif row["seeds"] == 1:
        text += f"this trained model is {row['verdict']}; whether its setting is, one seed cannot show."
    else:
        text += f"{row['verdict']}."
    if row["verdict"] in ("better", "worse"):
        claims += comparison_claims(rows=row.to_frame().T, established=True)
    if row["seeds"] == 2 and row["verdict"] == "open" and not math.isnan(row["models_low"]):
        signs = "Both seeds agree in sign" if row["same_sign"] else "The seeds do not agree in sign"
        text += (
            f" {signs}; over problems alone these trained models differ by "
            f"{difference(*row[['difference', 'models_low', 'models_high']])}."
        )
        claims += [replace(claims[0], of="models", low=float(row["models_low"]), high=float(row["models_high"]))]
    shares = [float(row_of(arms=arms, name=row[name])["outside_share"]) for name in ("arm", "reference")]
    if not any(map(math.isnan, shares)):
        text += f" Outside the bounds: {per_cent(shares[0])} against {per_cent(shares[1])} % of tokens."
    return Sentence(text, claims)


def _row(row: "pd.Series[Any]", arms: pd.DataFrame) -> list[str]:
    pair = []
    for name in ("arm", "reference"):
        arm = row_of(arms=arms, name=row[name])
        pair.append(f"{arm['number']} {arm['label']}")
    if row["reason"]:
        return [*pair, NOTHING, NOTHING, NOTHING, NOTHING, f"not tested: {row['reason']}"]
    verdict = str(row["verdict"])
    if row["seeds"] == 1 and verdict in ("better", "worse"):
        verdict = f"this trained model is {verdict}"
    known = ends(row["low"], row["high"])
    numbers = [points(row["difference"], sign=True), known, p_value(row["p"]), p_value(row["p_adjusted"])]
    return [*pair, *numbers, verdict]


def _pair(row: "pd.Series[Any]", arms: pd.DataFrame) -> str:
    names = [row_of(arms=arms, name=row[name])["label"] for name in ("arm", "reference")]
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
    if found.degrees_of_freedom < _FEW_DEGREES:
        begin += " So few degrees of freedom make its tests wrong in some 7 % of studies without a difference, not 5 %."
    if math.isnan(found.p_alike):
        return f"{begin} Whether seeds move both arms alike cannot be tested with so few arms."
    bartlett = f"Bartlett's test, p = {p_value(found.p_alike)}".replace("= <", "<")
    if found.p_alike < _LEVEL:
        return f"{begin} They are not alike ({bartlett}): go by the separate intervals."
    return f"{begin} No difference between them is found ({bartlett}), which with few seeds only a large one would be."


def _separate_note(row: "pd.Series[Any]", arms: pd.DataFrame) -> str:
    if math.isnan(row["separate_low"]):
        return f"{_pair(row, arms)}, without pooling: no interval."
    separate, p = ends(row["separate_low"], row["separate_high"]), p_value(row["separate_p"])
    return f"{_pair(row, arms)}, without pooling: {separate} points, p = {p}.".replace("= <", "<")


def two_seeds_note(*, row: "pd.Series[Any]", arms: pd.DataFrame, analysis: Analysis) -> str:
    """What two seeds can say of a pair, what pooling makes of them, and how many seeds would do.

    Args:
        row: Of `reports.analysis.registered_results.registered_comparisons`, with two common seeds.
        arms: From `reports.analysis.arms.arm_table`.
        analysis: Of the same study.
    """
    signs = "both seeds agree in sign" if row["same_sign"] else "the two seeds do not agree in sign"
    sentence = (
        f"{_pair(row, arms)}: {signs}; these trained models differ by "
        f"{difference(*row[['difference', 'models_low', 'models_high']])}, over problems alone."
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
