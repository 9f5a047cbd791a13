"""Cells and a sentence on trials that are other trials."""

from typing import Any

import pandas as pd

from reports.data.load import StudyRecord
from reports.data.numbers import count, points

_MOST_ROWS = 40


def twins_content(*, study: StudyRecord, noise: pd.DataFrame) -> dict[str, Any]:
    """Rows and sentences of the document.

    Args:
        study: From `reports.data.load`.
        noise: From `reports.analysis.twins.noise_table`.
    """
    known = study.trials[study.trials["same_as"] != ""]
    rows = [
        [str(trial[name]) for name in ("trial", "same_as", "reason")] for _, trial in known.head(_MOST_ROWS).iterrows()
    ]
    more = len(known) - len(rows)
    return {
        "twins": [*rows, [f"{more} more", "", "in data/trials.csv"]] if more else rows,
        "noise": [
            [
                str(row["trial"]),
                str(row["other"]),
                points(row["difference"], sign=True),
                f"{row['differing']} of {row['problems']}",
            ]
            for _, row in noise.head(_MOST_ROWS).iterrows()
        ],
        "noise_sentence": noise_sentence(noise=noise),
    }


def noise_sentence(*, noise: pd.DataFrame) -> str:
    """What two runs of the same arm differed by; empty where none were trained."""
    if noise.empty:
        return ""
    pairs = count(len(noise), "pair")
    same = int((noise["differing"] == 0).sum())
    if same == len(noise):
        return (
            f"Run-to-run noise: {pairs} of trials could not differ and were both trained; not a problem's answers "
            "differ. On this machine a difference between arms is one of the arms."
        )
    largest = points(noise["difference"].abs().max())
    return (
        f"Run-to-run noise: {pairs} of trials could not differ and were both trained; their accuracies differ by up "
        f"to {largest} points, and {same} of them on no problem. That is what two runs of one arm differ by here: a "
        "difference between arms with one seed is no evidence unless it is larger."
    )
