"""Accuracy by subject and by level, and how often responses were cut off: where a benchmark's number comes from."""

from typing import Literal

import pandas as pd

from reports.statistics.accuracy import average_at_k

_COLUMNS = ("arm", "benchmark", "group", "accuracy", "low", "high", "standard_error", "problems", "truncated")


def breakdown_table(*, samples: pd.DataFrame, by: Literal["subject", "level"]) -> pd.DataFrame:
    """Accuracy of each arm on each subject or level of each benchmark, with the problem as the unit.

    Groups are looked at together and each has few problems, so the intervals (95 %, clustered by problem, not corrected
    for their number) describe and do not test. Seeds of an arm are averaged within the problem.

    Args:
        samples: One row a sample of one evaluation of each trial: arm, benchmark, problem_id, correct, and ``by``; with
            ``truncated`` where it is known. Rows whose ``by`` is empty or missing belong to no group.
        by: Which.

    Returns:
        Columns arm, benchmark, group, accuracy, low, high, standard_error, problems, truncated (share of samples that
        reached the limit of length, NaN where it is not known); groups in alphabetical order. Shares from 0 to 1.
    """
    grouped = samples[samples[by].notna() & (samples[by].astype(str) != "")] if by in samples else samples.iloc[:0]
    rows = []
    for arm in pd.unique(grouped["arm"]):
        for benchmark in pd.unique(grouped["benchmark"]):
            table = grouped[(grouped["arm"] == arm) & (grouped["benchmark"] == benchmark)]
            for group, part in table.groupby(by, sort=True):
                estimate = average_at_k(correct=part["correct"], problem=part["problem_id"])
                rows.append(
                    {
                        "arm": arm,
                        "benchmark": benchmark,
                        "group": str(group),
                        "accuracy": estimate.value,
                        "low": estimate.low,
                        "high": estimate.high,
                        "standard_error": estimate.standard_error,
                        "problems": estimate.problems,
                        "truncated": truncation_rate(samples=part),
                    }
                )
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def truncation_rate(*, samples: pd.DataFrame) -> float:
    """Share of samples that were cut off at the limit of length; NaN unless it is known of every one."""
    if samples.empty or "truncated" not in samples or not samples["truncated"].notna().all():
        return float("nan")
    return float(samples["truncated"].astype(bool).mean())
