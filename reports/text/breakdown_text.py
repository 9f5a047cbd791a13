"""The document's sections on subjects, levels and the number of samples, where a benchmark records what they need."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis.arms import row_of
from reports.analysis.breakdown import breakdown_table, truncation_rate
from reports.data.numbers import per_cent, points
from reports.statistics.accuracy import final_samples
from reports.statistics.curves import curves
from sweep.tasks.pass_at_k import pass_at_every_k

# The columns of a table on one page, and the answers that are compared text by text for maj@k.
_MOST_ARMS, _MOST_ANSWERS = 6, 50_000


def breakdown_content(*, samples: pd.DataFrame, arms: pd.DataFrame, benchmark: str | None) -> dict[str, Any]:
    """Rows by subject and level, of truncation, and of pass@k and maj@k, for the main benchmark.

    Args:
        samples: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        benchmark: The main one; None where nothing was evaluated.
    """
    evaluated = arms.loc[arms["accuracy"].notna(), "arm"].tolist()
    shown = evaluated[:_MOST_ARMS]
    # Of millions of samples those that are shown first: everything after works on them alone.
    part = samples[samples["arm"].isin(shown) & (samples["benchmark"] == benchmark)] if len(samples) else samples
    part = final_samples(samples=part)
    shown = [name for name in shown if len(part) and name in set(part["arm"].unique())]
    found = curve_table(samples=part)
    return {
        "breakdown_arms": [f"Arm {row_of(arms=arms, name=name)['number']}" for name in shown],
        "breakdown_left_out": len(evaluated) - len(shown),
        "breakdown": [row for by in ("subject", "level") for row in _groups(part, by, shown)],
        "truncated": _truncated(part, shown),
        "curves": _curves(found, shown),
        "majority": bool(len(found) and found["maj_at_k"].notna().any()),
    }


def _groups(samples: pd.DataFrame, by: Any, shown: list[str]) -> list[list[str]]:
    table = breakdown_table(samples=samples, by=by)
    rows = []
    for group, of_group in table.groupby("group", sort=True):
        of_arms = {row["arm"]: row for row in of_group.to_dict("records")}
        cells = [_interval(of_arms[name]) if name in of_arms else "n/a" for name in shown]
        rows.append([f"{by} {group}" if by == "level" else str(group), str(int(of_group["problems"].max())), *cells])
    return rows


def _interval(row: dict[Hashable, Any]) -> str:
    low = row["low"]
    return points(row["accuracy"]) + ("" if np.isnan(low) else f" [{points(low)}, {points(row['high'])}]")


def _truncated(samples: pd.DataFrame, shown: list[str]) -> list[str]:
    rates = [truncation_rate(samples=samples[samples["arm"] == name]) for name in shown]
    return [] if not rates or np.isnan(rates).all() else [per_cent(rate) for rate in rates]


def curve_table(*, samples: pd.DataFrame) -> pd.DataFrame:
    """pass@k and maj@k for every k, seeds of an arm averaged.

    maj@k asks which answers of a problem are the same text, one by one, and is left out where there are too many.

    Args:
        samples: The last evaluation of one benchmark.

    Returns:
        Columns arm, k, pass_at_k, maj_at_k (NaN where answers were not kept); an arm whose problems have different
        numbers of samples is left out.
    """
    frames = []
    answers = "answer" in samples and len(samples) <= _MOST_ANSWERS and samples["answer"].notna().all()
    for (arm, _), table in samples.groupby(["arm", "seed"], sort=False) if len(samples) else ():
        counts = table.groupby("problem_id", sort=False)["correct"].agg(["sum", "size"])
        if counts["size"].nunique() != 1:
            continue
        if answers:
            frames.append(curves(table).assign(arm=str(arm)))
            continue
        n = int(counts["size"].iloc[0])
        passed = pass_at_every_k(correct=counts["sum"].tolist(), samples=n).mean(axis=0)
        frames.append(pd.DataFrame({"arm": str(arm), "k": range(1, n + 1), "pass_at_k": passed, "maj_at_k": np.nan}))
    columns = ["arm", "k", "pass_at_k", "maj_at_k"]
    if not frames:
        return pd.DataFrame(columns=columns)
    return pd.concat(frames).groupby(["arm", "k"], sort=False)[columns[2:]].mean().reset_index()


def _curves(table: pd.DataFrame, shown: list[str]) -> list[list[str]]:
    if table.empty:
        return []
    largest = int(table["k"].max())
    wanted = sorted({1, *(2**power for power in range(1, 12) if 2**power < largest), largest})
    rows = []
    for name, column in (("pass@", "pass_at_k"), ("maj@", "maj_at_k")):
        values = {(row["arm"], row["k"]): float(row[column]) for row in table.to_dict("records")}
        if not np.isnan([*values.values()]).all():
            rows += [[f"{name}{k}", *(points(values.get((arm, k), np.nan)) for arm in shown)] for k in wanted]
    return rows
