r"""Logistic regression of being right, on counts, with standard errors that are robust to clusters.

.. math:: logit P(right) = \alpha_{benchmark} + x'\beta

fitted by statsmodels (GLM, binomial counts, one row an arm, seed and problem). The estimate is that of GEE with
independent working correlation: population-averaged, consistent whatever the correlation within a cluster (Liang &
Zeger 1986). Standard errors are CR2 (`reports.statistics.robust_covariance`): clustered by problem, and at the same
time by what varies between trained models: the seed, where arms are compared, and the arm, where its gain or its
threshold is the regressor, since whole arms are then the observations.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import statsmodels.api as sm
from scipy import special
from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

from reports.statistics.robust_covariance import (
    ClusterRobust,
    Integers,
    cell_covariance,
    cluster_robust,
    two_way_variance,
)
from reports.statistics.two_variances import LEVEL

Floats = npt.NDArray[np.float64]


class CannotFitError(ValueError):
    """The data do not determine the model; the message says why."""


@dataclass(frozen=True)
class LogisticFit:
    """Coefficients and what their variances are made of.

    Attributes:
        names: Names of the coefficients: ``benchmark NAME`` for the intercepts, then the regressors.
        coefficients: Log odds, (p,).
        problems: Clusters of problems; None where there are none.
        others: Clusters of seeds or arms; None where there are none.
        cells: What both have in common (p, p); zero where there is one of them.
    """

    names: tuple[str, ...]
    coefficients: Floats
    problems: ClusterRobust | None
    others: ClusterRobust | None
    cells: Floats

    def combination(self, contrasts: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Value, standard error and degrees of freedom of combinations (m, p) of the coefficients, (m,) each."""
        rows = np.atleast_2d(np.asarray(contrasts, dtype=np.float64))
        if self.problems is not None and self.others is not None:
            variance, freedom = two_way_variance(contrasts=rows, few=self.others, many=self.problems, cells=self.cells)
        else:
            only = self.problems if self.others is None else self.others
            assert only is not None
            variance, freedom = only.variance(rows)
        return rows @ self.coefficients, np.sqrt(variance), freedom

    def table(self, *, names: Sequence[str] | None = None) -> pd.DataFrame:
        """One row a coefficient: name, value (log odds), standard_error, degrees_of_freedom, low, high, p."""
        names = self.names if names is None else names
        value, error, freedom = self.combination(np.eye(len(self.names))[[self.names.index(name) for name in names]])
        half = special.stdtrit(freedom, (1 + LEVEL) / 2) * error
        columns = {"standard_error": error, "degrees_of_freedom": freedom, "low": value - half, "high": value + half}
        p = 2 * special.stdtr(freedom, -np.abs(value) / error)
        return pd.DataFrame({"name": names, "value": value, **columns, "p": p})


def logistic_regression(*, table: pd.DataFrame, regressors: Sequence[str], cluster: str | None) -> LogisticFit:
    """Fit the model above.

    Args:
        table: One row a count: benchmark, correct, samples, the regressors (numbers: log gain, log threshold, clip
            fraction, 0 or 1 for an arm, or their products), ``problem_id`` where problems are clusters, and `cluster`.
        regressors: Columns of x.
        cluster: Column of the second set of clusters, ``seed`` or ``arm``; None with one seed.

    Raises:
        CannotFitError: Regressors that do not vary or depend on each other; counts all right or all wrong; no cluster.
        ValueError: Neither problems nor a second set of clusters.
    """
    if "problem_id" not in table and cluster is None:
        raise ValueError("a cluster-robust fit needs clusters: problem_id, or the name of another column")
    benchmark, benchmarks = pd.factorize(table["benchmark"])
    intercepts = np.equal.outer(benchmark, np.arange(len(benchmarks))).astype(np.float64)
    design = np.column_stack([intercepts, table[list(regressors)].to_numpy(np.float64)])
    problems = None if "problem_id" not in table else table.groupby(["benchmark", "problem_id"], sort=False).ngroup()
    others = None if cluster is None else pd.factorize(table[cluster])[0]
    names = (*(f"benchmark {name}" for name in benchmarks), *regressors)
    # Seeds repeat a row; arms are the rows, so that a problem's rows differ in nothing else.
    keys = ["benchmark", "problem_id", *(regressors if cluster == "seed" else [])]
    alike = None if problems is None else table.groupby(keys, sort=False).ngroup().to_numpy()
    correct, samples = table["correct"].to_numpy(np.float64), table["samples"].to_numpy(np.float64)
    return fit_counts(
        names=names,
        design=design,
        correct=correct,
        samples=samples,
        problems=None if problems is None else problems.to_numpy(),
        others=others,
        alike=alike,
    )


def fit_counts(
    *,
    names: tuple[str, ...],
    design: Floats,
    correct: Floats,
    samples: Floats,
    problems: Integers | None,
    others: Integers | None,
    alike: Integers | None,
) -> LogisticFit:
    """The same from arrays: design (n, p), counts (n,), and the number of each row's cluster (n,), or None.

    ``alike`` numbers the groups of rows that differ in the second cluster alone, see `cell_covariance`.
    """
    for groups in (problems, others):
        if groups is not None and groups.max() < 1:
            raise CannotFitError("there is only one cluster, so there is no spread to go by")
    coefficients = _estimate(names, design, correct, samples)
    chance = special.expit(design @ coefficients)
    weight, residual = samples * chance * (1 - chance), correct - samples * chance
    information = design.T @ (weight[:, None] * design)
    if np.linalg.cond(information) > 1e14:
        raise CannotFitError(_SEPARATED)
    bread = np.linalg.inv(information)
    parts = [
        None if groups is None else cluster_robust(design=design, weight=weight, residual=residual, cluster=groups)
        for groups in (problems, others)
    ]
    cells = np.zeros_like(bread)
    if problems is not None and others is not None and alike is not None:
        _, cell = np.unique(problems * (others.max() + 1) + others, return_inverse=True)
        cells = cell_covariance(design=design, residual=residual, bread=bread, cell=cell, alike=alike)
    return LogisticFit(names, coefficients, parts[0], parts[1], cells)


def _estimate(names: tuple[str, ...], design: Floats, correct: Floats, samples: Floats) -> Floats:
    """Maximum likelihood; rows with the same regressors are added up, which changes nothing but the time it takes."""
    rows, place = np.unique(design, axis=0, return_inverse=True)
    right, total = np.bincount(place, correct), np.bincount(place, samples)
    scale = np.abs(rows).max(axis=0)
    if (scale == 0).any() or np.linalg.matrix_rank(rows / scale) < rows.shape[1]:
        raise CannotFitError(f"{', '.join(names)} cannot be told apart with these arms")
    for indicator in rows.T[np.isin(rows, (0.0, 1.0)).all(axis=0)]:
        for side in (indicator == 1, indicator == 0):
            if side.any() and right[side].sum() in (0, total[side].sum()):
                raise CannotFitError(_SEPARATED)
    # A model with a coefficient for each row fits perfectly, of which statsmodels warns, and has no scale.
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fit = sm.GLM(np.column_stack([right, total - right]), rows, family=sm.families.Binomial()).fit(tol=1e-12)
        except ConvergenceWarning as error:
            raise CannotFitError(_SEPARATED) from error
    if not np.isfinite(fit.params).all():
        raise CannotFitError(_SEPARATED)
    return np.asarray(fit.params)


_SEPARATED = "some group of counts is all right or all wrong"
