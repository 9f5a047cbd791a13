"""The few numbers that a study's own run shows in MLflow, where it would have an empty table."""

import math

import pandas as pd

from reports.analysis.study_statistics import Analysis
from reports.analysis.training_effect import untrained_accuracy
from reports.data.load import StudyRecord

# Registered comparisons that are shown there; all are in the report.
_MOST_PAIRS = 10


def study_metrics(*, study: StudyRecord, arms: pd.DataFrame, analysis: Analysis) -> dict[str, float]:
    """Finished trials, best accuracy, and what was registered; accuracies and differences are shares.

    Args:
        study: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        analysis: From `reports.analysis.study_statistics.analyse`.
    """
    untrained = untrained_accuracy(untrained=analysis.untrained)
    found = {
        "trials/planned": float(len(study.trials)),
        "trials/finished": float((study.trials["state"] == "finished").sum()),
        "accuracy/best_arm": float(arms["accuracy"].max()),
        "accuracy/untrained": math.nan if untrained is None else float(untrained["accuracy"]),
    }
    for _, pair in analysis.registered.head(_MOST_PAIRS).iterrows():
        name = f"registered/{pair['arm']} minus {pair['reference']}"
        found |= {f"{name}/{end}": float(pair[end]) for end in ("difference", "low", "high")}
    return {name: value for name, value in found.items() if math.isfinite(value)}
