"""Cells and a sentence on what training changed."""

from typing import Any

import pandas as pd

from reports.analysis.arms import number_and_label, row_of
from reports.analysis.study_statistics import Analysis
from reports.analysis.training_effect import UNTRAINED, untrained_accuracy
from reports.data.numbers import difference, ends, listing, p_value, per_cent, points
from reports.text.claims import Sentence, comparison_claims

_LEVEL = 0.05


def training_content(*, analysis: Analysis, arms: pd.DataFrame, shown: list[str]) -> dict[str, Any]:
    """Rows of the document.

    Args:
        analysis: From `reports.analysis.study_statistics.analyse`.
        arms: From `reports.analysis.arms.arm_table`.
        shown: Arms whose rows are shown.
    """
    rows = analysis.training[analysis.training["arm"].isin(shown)]
    rows = rows.assign(order=rows["arm"].map(arms.set_index("arm")["number"])).sort_values("order", kind="stable")
    return {"training": [_row(row, arms) for _, row in rows.iterrows()]}


def _row(row: "pd.Series[Any]", arms: pd.DataFrame) -> list[str]:
    return [
        *number_and_label(arms=arms, name=row["arm"]),
        points(row["difference"], sign=True),
        ends(row["low"], row["high"]),
        ends(row["simultaneous_low"], row["simultaneous_high"]),
        p_value(row["p"]),
        p_value(row["p_adjusted"]),
    ]


def training_sentence(*, analysis: Analysis, arms: pd.DataFrame) -> Sentence:
    """What training changed, arm by arm where it is established; empty where the untrained model was not judged."""
    found = untrained_accuracy(untrained=analysis.untrained)
    own = analysis.training[analysis.training["same_as"] == ""]
    if found is None or own.empty:
        return Sentence("")
    start = f"The untrained model is right in {per_cent(found['accuracy'])} %"
    sure = own[own["p_adjusted"] < _LEVEL].sort_values("difference", ascending=False, kind="stable")
    if sure.empty:
        widest = points(((own["high"] - own["low"]) / 2).max())
        return Sentence(
            f"{start}; no arm's training can be told to have changed that (95 % intervals of up to ±{widest} points)."
        )
    parts = [
        f"{difference(*row[['difference', 'low', 'high']])} in {row_of(arms=arms, name=row['arm'])['label']}"
        for _, row in sure.iterrows()
    ]
    shown = parts if len(parts) <= 4 else [*parts[:2], *parts[-2:], f"{len(parts) - 4} more in between"]
    rest = len(own) - len(sure)
    what = "training" if (own["seeds"] > 1).all() else "this training, with one seed,"
    end = f", and in the other {rest} by nothing that can be told from 0." if rest else "."
    claims = comparison_claims(rows=sure, reference=UNTRAINED, established=True)
    return Sentence(f"{start}; {what} changed that by {listing(shown)}{end}", claims)
