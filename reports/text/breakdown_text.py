"""The document's sections on subjects, levels and the number of samples, where a benchmark records what they need."""

import math
from typing import Any, Literal

import numpy as np
import pandas as pd

from reports.analysis.arms import row_of
from reports.data.numbers import MISSING, interval, per_cent
from reports.statistics.accuracy import group_accuracies
from reports.statistics.curves import curve_table
from reports.statistics.verdicts import final_samples

# The columns of a table on one page.
_MOST_ARMS = 6


def breakdown_content(*, samples: pd.DataFrame, arms: pd.DataFrame, benchmark: str | None) -> dict[str, Any]:
    """Rows by subject and level, of what was cut off, not read or disputed, and of pass@k and maj@k, on one benchmark.

    Args:
        samples: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        benchmark: The main one; None where nothing was evaluated.
    """
    evaluated = arms.loc[arms["accuracy"].notna(), "arm"].tolist()
    shown = evaluated[:_MOST_ARMS]
    # There may be millions of samples: everything after works on those of the arms shown.
    part = samples[samples["arm"].isin(shown) & (samples["benchmark"] == benchmark)] if len(samples) else samples
    part = final_samples(samples=part)
    if "outcome" in part:  # how the grading of a mathematics answer ended
        part = part.assign(unreadable=(part["outcome"] != "graded").where(part["outcome"].notna(), None))
    shown = [name for name in shown if len(part) and name in set(part["arm"].unique())]
    found = curve_table(samples=part)
    return {
        "breakdown_arms": [f"Arm {row_of(arms=arms, name=name)['number']}" for name in shown],
        "breakdown_left_out": len(evaluated) - len(shown),
        "breakdown": [*_groups(part, "subject", shown), *_groups(part, "level", shown)],
        "truncated": _shares(part, "truncated", shown),
        "unreadable": _shares(part, "unreadable", shown),
        "disputed": _shares(part, "disputed", shown),
        "curves": _curves(found, shown),
        "majority": bool(len(found) and found["maj_at_k"].notna().any()),
    }


def _groups(samples: pd.DataFrame, by: Literal["subject", "level"], shown: list[str]) -> list[list[str]]:
    rows = []
    for group, of_group in group_accuracies(samples=samples, by=by).groupby("group", sort=True):
        of_arms = {arm["arm"]: interval(arm["accuracy"], arm["low"], arm["high"]) for _, arm in of_group.iterrows()}
        cells = [of_arms.get(name, MISSING) for name in shown]
        rows.append([f"{by} {group}" if by == "level" else str(group), str(int(of_group["problems"].max())), *cells])
    return rows


def _shares(samples: pd.DataFrame, column: str, shown: list[str]) -> list[str]:
    """Share of each arm's samples of which a column is true; empty where it is not known of any arm."""
    rates = []
    for name in shown:
        flags = samples.loc[samples["arm"] == name, column] if column in samples else pd.Series(dtype=object)
        rates.append(float(flags.astype(bool).mean()) if len(flags) and flags.notna().all() else math.nan)
    return [] if np.isnan(rates).all() else [per_cent(rate) for rate in rates]


def _curves(table: pd.DataFrame, shown: list[str]) -> list[list[str]]:
    # Of one sample, all of them are avg@1.
    if table.empty or (largest := int(table["k"].max())) == 1:
        return []
    wanted = sorted({1, *(2**power for power in range(1, 12) if 2**power < largest), largest})
    rows = []
    for name in ("pass", "maj"):
        columns = [f"{name}_at_k", f"{name}_low", f"{name}_high"]
        cells = {
            (row["arm"], row["k"]): interval(*(row[column] for column in columns)) for row in table.to_dict("records")
        }
        if table[columns[0]].notna().any():
            rows += [[f"{name}@{k}", *(cells.get((arm, k), MISSING) for arm in shown)] for k in wanted]
    return rows
