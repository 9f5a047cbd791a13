"""A known slope is found, arms are the observations, and what cannot be fitted says so."""

import math

import numpy as np
import pandas as pd
import pytest

from benchmarks.simulated_studies import Population, as_verdicts, draw_counts
from reports.statistics.logistic import logistic_regression
from reports.statistics.odds_ratios import setting_effects


def _study(*, arms: int = 16, slope: float = 0.3, spread: float = 0.1, problems: int = 60) -> tuple[pd.DataFrame, ...]:
    random = np.random.default_rng(4)
    log_gain, log_threshold = random.uniform(-6, -1, size=arms), random.uniform(-3, 1, size=arms)
    effects = (slope * (log_gain + 3) + spread * random.standard_normal(arms)).tolist()
    counts = draw_counts(
        random=random, population=Population(difficulty=1.0), effects=effects, seeds=2, problems=problems, samples=8
    )
    settings = pd.DataFrame(
        {
            "arm": [f"arm {number}" for number in range(arms)],
            "gain": np.exp(log_gain),
            "threshold": np.exp(log_threshold),
            "clip_fraction": random.uniform(0, 0.3, size=arms),
        }
    )
    return as_verdicts(counts=counts, samples=8), settings


def test_a_slope_is_found_and_the_others_are_not() -> None:
    verdicts, settings = _study()
    table = setting_effects(verdicts=verdicts, settings=settings).set_index(["model", "name"])
    assert len(table) == 5
    gain = table.loc[("log_gain", "log_gain")]
    # Population-averaged slopes are flatter than those of single problems, by about 1 / sqrt(1 + 0.346 * 1.2).
    assert gain["low"] < math.exp(0.3 / math.sqrt(1 + 0.346 * 1.18)) < gain["high"]
    assert gain["p"] < 1e-4
    assert table.loc[("log_gain, log_threshold", "log_threshold"), "p"] > 0.01
    # 16 arms less two coefficients, and less again because the outer gains carry most of the slope.
    assert 5 < gain["degrees_of_freedom"] < 14


def test_more_problems_do_not_replace_arms() -> None:
    few, many = (
        setting_effects(verdicts=verdicts, settings=settings).iloc[0]
        for verdicts, settings in (_study(spread=0.6, slope=0.0, problems=n) for n in (40, 400))
    )
    assert math.log(many["high"] / many["low"]) > 0.6 * math.log(few["high"] / few["low"])


def test_it_is_the_regression() -> None:
    verdicts, settings = _study(arms=6)
    table = verdicts.assign(log_gain=np.log(settings["gain"])[verdicts["arm"].str[4:].astype(int)].to_numpy())
    table = table.groupby(["arm", "benchmark", "problem_id", "log_gain"], as_index=False)[["correct", "samples"]].sum()
    expected = (
        logistic_regression(table=table, regressors=["log_gain"], cluster="arm").table(names=["log_gain"]).iloc[0]
    )
    found = setting_effects(verdicts=verdicts, settings=settings).iloc[0]
    assert math.log(found["odds_ratio"]) == pytest.approx(expected["value"])
    assert found["p"] == pytest.approx(expected["p"])


def test_arms_without_a_threshold_and_too_few() -> None:
    verdicts, settings = _study(arms=6)
    settings.loc[:2, "threshold"] = math.inf
    table = setting_effects(verdicts=verdicts, settings=settings).set_index(["model", "name"])
    row = table.loc[("log_threshold", "log_threshold")]
    assert row["arms"] == 3
    assert "too few" in row["reason"]
    assert math.isnan(row["p"])
    same = setting_effects(verdicts=verdicts, settings=settings.assign(clip_fraction=0.0)).set_index("name")
    assert "cannot be told apart" in same.loc["clip_fraction", "reason"]
