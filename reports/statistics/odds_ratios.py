"""Odds ratios of being right: of arms against a baseline, and over what was set and what it did.

Both are regressions of `reports.statistics.logistic` with the benchmark as factor.
"""

import math

import numpy as np
import pandas as pd

from reports.statistics.logistic import CannotFitError, fit_counts, logistic_regression
from reports.statistics.verdicts import by_benchmark, paired_shares

ODDS_COLUMNS = ("arm", "odds_ratio", "low", "high", "p", "degrees_of_freedom", "problems", "seeds", "reason")
SETTING_COLUMNS = ("model", "name", "odds_ratio", "low", "high", "p", "degrees_of_freedom", "arms", "reason")
_MODELS = (("log_gain",), ("log_threshold",), ("log_gain", "log_threshold"), ("clip_fraction",))


def arm_odds_ratios(*, verdicts: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Odds ratio of every arm against the baseline.

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


def setting_effects(*, verdicts: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """Odds ratios of being right for a gain or a threshold e times as high, and for ten points more of clip fraction.

    Each arm is one observation of its setting: seeds are added up and variances clustered by arm and by problem. A
    regression over arms that were chosen, not drawn, describes these arms; the clip fraction is an outcome of training,
    so that its coefficient is an association and no effect.

    Args:
        verdicts: From `verdict_counts`.
        settings: One row an arm: arm, gain and threshold (steady state, infinite without clipping), clip_fraction
            (a share of tokens; NaN where unknown).

    Returns:
        `SETTING_COLUMNS`: a row for each regressor of each model (gain; threshold; both; clip fraction). Arms without a
        finite regressor are left out of a model; numbers are NaN where ``reason`` says why there is no fit.
    """
    keys = ["arm", "benchmark", "problem_id"]
    counts = verdicts.groupby(keys, sort=False, observed=True)[["correct", "samples"]].sum().reset_index()
    with np.errstate(divide="ignore"):
        columns = {
            "log_gain": np.log(settings["gain"].to_numpy(np.float64)),
            "log_threshold": np.log(settings["threshold"].to_numpy(np.float64)),
            # In units of ten points, so that an odds ratio is of a size that occurs.
            "clip_fraction": settings["clip_fraction"].to_numpy(np.float64) * 10,
        }
    of_arms = pd.DataFrame(columns, index=pd.Index(settings["arm"], name="arm"))
    rows: list[dict[str, object]] = []
    for names in _MODELS:
        model = ", ".join(names)
        known = of_arms[list(names)].replace([np.inf, -np.inf], np.nan).dropna()
        used = counts.merge(known, left_on="arm", right_index=True)
        arms = int(used["arm"].nunique())
        nothing = {**dict.fromkeys(SETTING_COLUMNS[2:7], math.nan), "arms": arms}
        try:
            if arms < len(names) + 3:
                raise CannotFitError(f"{arms} arms are too few, it takes {len(names) + 3}")
            fit = logistic_regression(table=used, regressors=names, cluster="arm").table(names=names)
        except CannotFitError as error:
            rows += [{"model": model, "name": name, **nothing, "reason": str(error)} for name in names]
            continue
        for found in fit.to_dict("records"):
            ends = {"odds_ratio": found["value"], "low": found["low"], "high": found["high"]}
            row = {"model": model, "name": found["name"], **{key: math.exp(value) for key, value in ends.items()}}
            freedom = found["degrees_of_freedom"]
            rows.append({**row, "p": found["p"], "degrees_of_freedom": freedom, "arms": arms, "reason": ""})
    return pd.DataFrame(rows, columns=list(SETTING_COLUMNS))
