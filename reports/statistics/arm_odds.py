"""Odds ratios of arms against a baseline from a logistic regression with the benchmark as factor."""

import math

import numpy as np
import pandas as pd

from reports.statistics.logistic import CannotFitError, fit_counts
from reports.statistics.verdicts import by_benchmark, paired_shares

ODDS_COLUMNS = ("arm", "odds_ratio", "low", "high", "p", "degrees_of_freedom", "problems", "seeds", "reason")


def arm_odds_ratios(*, verdicts: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Odds ratio of every arm against the baseline; the model is that of `reports.statistics.logistic`.

    Each arm is fitted with the baseline alone, on the seeds and problems that both have, so that no third arm changes
    it. Clustered by problem and, with several common seeds, by seed.

    Args:
        verdicts: From `verdict_counts`.
        baseline: Name of the reference arm.

    Returns:
        `ODDS_COLUMNS`, one row an arm; numbers are NaN where ``reason`` says why there is no fit. An arm that differs
        on no problem has ratio and p of 1, and no degrees of freedom.
    """
    benchmarks = by_benchmark(verdicts=verdicts)
    rows = []
    for arm in dict.fromkeys(name for table in benchmarks for name in table.arms if name != baseline):
        tables, seeds = paired_shares(benchmarks=benchmarks, arms=[arm, baseline])
        row: dict[str, object] = {"arm": arm, **dict.fromkeys(ODDS_COLUMNS[1:6], math.nan)}
        row |= {"problems": sum(table.correct.shape[2] for table in tables), "seeds": max(1, len(seeds)), "reason": ""}
        if not tables:
            rows.append({**row, "reason": "no problem in common with the baseline"})
            continue
        if all(np.array_equal(table.values[0], table.values[1]) for table in tables):
            # Rounding would be taken for an error of 1e-17 and a difference of as much for a certain one.
            rows.append({**row, "odds_ratio": 1.0, "low": 1.0, "high": 1.0, "p": 1.0})
            continue
        designs, clusters, before = [], [], 0
        for number, table in enumerate(tables):
            second, seed, problem = (index.ravel() for index in np.indices(table.correct.shape))
            designs.append(np.column_stack([np.tile(np.eye(len(tables))[number], (second.size, 1)), 1.0 - second]))
            clusters.append(np.column_stack([second, seed, problem + before]))
            before += table.correct.shape[2]
        second, seed, problem = np.concatenate(clusters).T
        try:
            fit = fit_counts(
                names=(*(f"benchmark {table.benchmark}" for table in tables), arm),
                design=np.concatenate(designs),
                correct=np.concatenate([table.correct.ravel() for table in tables]).astype(np.float64),
                samples=np.concatenate([table.samples.ravel() for table in tables]).astype(np.float64),
                problems=problem,
                others=seed if len(seeds) > 1 else None,
                alike=2 * problem + second,
            )
        except CannotFitError as error:
            rows.append({**row, "reason": str(error)})
            continue
        effect = fit.table(names=[arm]).iloc[0]
        row |= {"odds_ratio": math.exp(effect["value"]), "p": effect["p"]}
        row |= {"low": math.exp(effect["low"]), "high": math.exp(effect["high"])}
        rows.append({**row, "degrees_of_freedom": effect["degrees_of_freedom"]})
    return pd.DataFrame(rows, columns=list(ODDS_COLUMNS))
