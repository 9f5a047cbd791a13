"""Trials that are other trials: those that were proved to be and not trained, and those that were trained all the same.

The second kind measures what two runs of the same arm differ by, since nothing else differs (`sweep.arms.twins`).
"""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis.arms import planned_arm
from reports.data.load import StudyRecord
from sweep.arms.twins import LARGEST, LONGEST, RATIO, family, why_same

NOISE_COLUMNS = ("trial", "other", "why", "difference", "differing", "problems")


def noise_table(*, study: StudyRecord, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Pairs of trials that were both trained and could not differ, with what their accuracies differ by.

    Args:
        study: From `reports.data.load`.
        verdicts: Its `verdict_counts`.

    Returns:
        `NOISE_COLUMNS`: difference of the mean share of right samples, and how many of the problems that both have
        differ.
    """
    trained = study.trials[(study.trials["state"] == "finished") & (study.trials["same_as"] == "")]
    steps = int(study.params.get("steps", 0))
    kinds: dict[tuple[Any, ...], list[pd.Series[Any]]] = {}
    for _, trial in trained.iterrows():
        kinds.setdefault((trial["seed"], family(planned_arm(trial=trial))), []).append(trial)
    rows = []
    for trials in kinds.values():
        for other, trial in itertools.combinations(trials, 2):
            arms = planned_arm(trial=trial), planned_arm(trial=other)
            if why := why_same(*arms, steps=_steps(study, other["trial"]), planned=steps):
                rows.append(
                    {"trial": trial["trial"], "other": other["trial"], "why": why, **_apart(verdicts, trial, other)}
                )
    return pd.DataFrame(rows, columns=list(NOISE_COLUMNS))


def _steps(study: StudyRecord, trial: str) -> list[dict[str, float]]:
    own = study.steps[(study.steps["trial"] == trial) & (study.steps["step"] > 0)]
    return [
        {str(name): float(row[name]) for name in own.columns.intersection([RATIO, LARGEST, LONGEST])}
        for _, row in own.iterrows()
    ]


def _apart(verdicts: pd.DataFrame, trial: "pd.Series[Any]", other: "pd.Series[Any]") -> dict[str, float]:
    keys = ["benchmark", "problem_id"]
    own, its = (
        verdicts[(verdicts["arm"] == one["arm"]) & (verdicts["seed"] == one["seed"])].set_index(keys)
        for one in (trial, other)
    )
    both = (own["correct"] / own["samples"] - its["correct"] / its["samples"]).dropna()
    return {
        "difference": float(both.mean()) if len(both) else np.nan,
        "differing": int((both != 0).sum()),
        "problems": len(both),
    }
