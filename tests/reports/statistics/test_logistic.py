"""Against matrices of a row a verdict, the t test, statsmodels' GEE, and the closed form."""

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated_studies import Population, as_verdicts, draw_counts
from reports.statistics.crossed import crossed_mean
from reports.statistics.effects import odds_ratio
from reports.statistics.logistic import CannotFitError, logistic_regression
from reports.statistics.odds_ratios import arm_odds_ratios
from reports.statistics.robust_covariance import cell_covariance, cluster_robust, two_way_variance


def _slow_cr2(x: np.ndarray, w: np.ndarray, r: np.ndarray, cluster: np.ndarray, c: np.ndarray) -> tuple[float, float]:
    """Variance and degrees of freedom of c'beta in the textbook's form, with a row and a column a verdict."""
    root = np.sqrt(w)
    x, e = root[:, None] * x, r / root
    bread = np.linalg.inv(x.T @ x)
    rest = np.eye(len(x)) - x @ bread @ x.T
    variance, columns = 0.0, []
    for g in np.unique(cluster):
        own = cluster == g
        adjust = np.linalg.inv(scipy.linalg.sqrtm(rest[np.ix_(own, own)]).real)
        weights = adjust @ x[own] @ bread @ c
        variance += float(weights @ e[own]) ** 2
        columns.append(rest[:, own] @ weights)
    theta = np.array(columns) @ np.array(columns).T
    return variance, float(np.trace(theta) ** 2 / (theta**2).sum())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), clusters=st.integers(4, 8))
def test_cr2_is_the_textbooks(seed: int, clusters: int) -> None:
    random = np.random.default_rng(seed)
    cluster = np.sort(np.concatenate([np.arange(clusters), random.integers(0, clusters, size=24)]))
    x = np.column_stack([np.ones(len(cluster)), random.normal(size=(len(cluster), 2))])
    w, r = random.uniform(0.5, 2.0, size=len(cluster)), random.normal(size=len(cluster))
    contrasts = np.array([[0.0, 1.0, 0.0], [1.0, -1.0, 2.0]])
    found = cluster_robust(design=x, weight=w, residual=r, cluster=cluster)
    for ours, c in zip(zip(*found.variance(contrasts), strict=True), contrasts, strict=True):
        assert ours == pytest.approx(_slow_cr2(x, w, r, cluster, c), rel=1e-6)


def test_a_mean_over_clusters_is_the_t_test() -> None:
    y = np.random.default_rng(0).normal(size=(12, 5))
    ones, cluster = np.ones(60), np.repeat(np.arange(12), 5)
    found = cluster_robust(design=ones[:, None], weight=ones, residual=(y - y.mean()).ravel(), cluster=cluster)
    variance, freedom = found.variance([[1.0]])
    assert variance[0] == pytest.approx(y.mean(axis=1).var(ddof=1) / 12)
    assert freedom[0] == pytest.approx(11)


def test_two_ways_are_the_crossed_mean() -> None:
    y = np.random.default_rng(4).normal(size=(4, 1)) * 0.3 + np.random.default_rng(5).normal(size=(4, 30))
    y = y + np.random.default_rng(6).normal(size=30)
    ones, rest = np.ones((120, 1)), (y - y.mean()).ravel()
    seed, problem = (index.ravel() for index in np.indices(y.shape))
    few, many = (cluster_robust(design=ones, weight=ones[:, 0], residual=rest, cluster=by) for by in (seed, problem))
    cells = cell_covariance(design=ones, residual=rest, bread=np.eye(1) / 120, cell=np.arange(120), alike=problem)
    variance, freedom = two_way_variance(contrasts=[[1.0]], few=few, many=many, cells=cells)
    ours = crossed_mean(blocks=[y])
    # Cells keep the seeds' own part, 1/120 of it.
    assert variance[0] == pytest.approx(ours.standard_error**2, rel=0.02)
    assert freedom[0] == pytest.approx(ours.degrees_of_freedom, rel=0.02)


def _counts(*, seeds: int = 1, problems: int = 40, effects: tuple[float, ...] = (0.0, 0.4)) -> pd.DataFrame:
    random = np.random.default_rng(2)
    counts = draw_counts(
        random=random, population=Population(seed=0.2), effects=effects, seeds=seeds, problems=problems, samples=8
    )
    return as_verdicts(counts=counts, samples=8)


def test_the_estimate_is_that_of_gee_on_single_verdicts() -> None:
    first = _counts()
    table = pd.concat([first, _counts(problems=25).assign(benchmark="second")]).reset_index(drop=True)
    table["treated"] = (table["arm"] == "arm 1").astype(float)
    ours = logistic_regression(table=table, regressors=["treated"], cluster=None).table().set_index("name")
    single = table.loc[table.index.repeat(8)]
    verdict = (np.arange(len(single)) % 8 < single["correct"]).astype(float)
    design = np.column_stack([single["benchmark"] == "made up", single["benchmark"] == "second", single["treated"]])
    groups = (single["benchmark"] + single["problem_id"]).to_numpy()
    gee = sm.GEE(verdict.to_numpy(), design.astype(float), groups=groups, family=sm.families.Binomial()).fit()
    assert ours["value"].to_numpy() == pytest.approx(gee.params, rel=1e-5)
    # GEE's robust errors are CR0: smaller by about sqrt((C - 1) / C).
    assert ours["standard_error"].to_numpy() == pytest.approx(gee.bse, rel=0.04)
    assert (ours["standard_error"].to_numpy() > gee.bse).all()
    assert 40 < ours.loc["treated", "degrees_of_freedom"] < 65


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_benchmark_has_the_closed_form(seeds: int) -> None:
    table = _counts(seeds=seeds)
    ours = arm_odds_ratios(verdicts=table, baseline="arm 0").iloc[0]
    shares = (table["correct"] / table["samples"]).to_numpy().reshape(2, seeds, 40)
    closed = odds_ratio(treated=[shares[1]], reference=[shares[0]])
    assert ours["odds_ratio"] == pytest.approx(closed[0], rel=1e-6)
    assert np.log([ours["low"], ours["high"]]) == pytest.approx(np.log(closed[1:]), abs=0.03)
    assert ours["seeds"] == seeds


def test_no_third_arm_changes_an_odds_ratio() -> None:
    table = _counts(effects=(0.0, 0.4, -1.0), seeds=2)
    three = arm_odds_ratios(verdicts=table, baseline="arm 0").set_index("arm")
    two = arm_odds_ratios(verdicts=table[table["arm"] != "arm 2"], baseline="arm 0").set_index("arm")
    pd.testing.assert_series_equal(three.loc["arm 1"], two.loc["arm 1"])


def test_what_cannot_be_fitted_says_why() -> None:
    table = _counts()
    table.loc[table["arm"] == "arm 1", "correct"] = 8
    row = arm_odds_ratios(verdicts=table, baseline="arm 0").iloc[0]
    assert "all right or all wrong" in row["reason"]
    assert np.isnan(row["p"])
    with pytest.raises(CannotFitError, match="cannot be told apart"):
        logistic_regression(table=_counts().assign(log_gain=1.0), regressors=["log_gain"], cluster="arm")
    with pytest.raises(ValueError, match="needs clusters"):
        logistic_regression(table=table.drop(columns="problem_id"), regressors=[], cluster=None)
