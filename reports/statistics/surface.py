r"""Accuracy or clip fraction over the plane of gain and threshold: a quadratic logistic surface with intervals.

.. math:: logit\,p = \alpha_{benchmark} + \beta_1 x + \beta_2 y + \beta_3 x^2 + \beta_4 x y + \beta_5 y^2,
   \qquad x = \ln K, \; y = \ln c \text{ (both standardised)}

The arm is the unit of observation in this plane: whatever number of verdicts an arm has, it is one point. So variances
are clustered by arm (`reports.statistics.logistic`), which also covers what of an arm the surface cannot follow, and
for accuracy by problem as well. With few arms a plane is fitted instead, and with fewer nothing; the result says so.
Intervals are for single points, not for the whole surface at once, and hold where the true surface is smooth enough to
be nearly quadratic. Outside of the convex hull of the arms a point is marked as extrapolated.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special
from scipy.spatial import Delaunay, QhullError

from reports.statistics.logistic import CannotFitError, LogisticFit, logistic_regression
from reports.statistics.two_variances import LEVEL

Floats = npt.NDArray[np.float64]
# Three more arms than coefficients of x and y and one intercept, so that there is some spread to go by.
PLANE_ARMS, QUADRATIC_ARMS = 6, 9


@dataclass(frozen=True)
class Surface:
    """A fitted surface, or why there is none.

    Attributes:
        kind: ``quadratic``, ``plane`` or ``none``.
        reason: Why it is not quadratic, and what was left out; empty where there is nothing to say.
        arms: Arms in the fit.
        fit: The regression; None where there is none.
        centre: Mean of (x, y).
        scale: Standard deviation of (x, y).
        points: (x, y) of the arms (A, 2).
    """

    kind: str
    reason: str
    arms: int
    fit: LogisticFit | None
    centre: Floats
    scale: Floats
    points: Floats

    def predict(self, *, gain: npt.ArrayLike, threshold: npt.ArrayLike) -> pd.DataFrame:
        """The surface at some points, averaged over benchmarks, with pointwise intervals (delta method, on logits).

        Args:
            gain: Steady-state gains K (m,), above 0.
            threshold: Clipping thresholds c (m,), above 0 and finite.

        Returns:
            Columns gain, threshold, value, low, high, extrapolated (outside of the arms' convex hull).

        Raises:
            CannotFitError: There is no surface.
        """
        if self.fit is None:
            raise CannotFitError(self.reason)
        gains, thresholds = np.broadcast_arrays(np.asarray(gain, float), np.asarray(threshold, float))
        at = np.log(np.column_stack([gains.ravel(), thresholds.ravel()]))
        terms = _terms((at - self.centre) / self.scale, quadratic=self.kind == "quadratic")
        benchmarks = len(self.fit.names) - terms.shape[1]
        chances, gradient = np.zeros(len(at)), np.zeros((len(at), len(self.fit.names)))
        for number in range(benchmarks):
            row = np.column_stack([np.tile(np.eye(benchmarks)[number], (len(at), 1)), terms])
            chance = special.expit(row @ self.fit.coefficients)
            chances += chance / benchmarks
            gradient += (chance * (1 - chance))[:, None] * row / benchmarks
        _, error, freedom = self.fit.combination(gradient / (chances * (1 - chances))[:, None])
        half = special.stdtrit(freedom, (1 + LEVEL) / 2) * error
        logits = special.logit(chances)
        columns = {"value": chances, "low": special.expit(logits - half), "high": special.expit(logits + half)}
        outside = ~_inside(at, self.points)
        return pd.DataFrame(
            {"gain": gains.ravel(), "threshold": thresholds.ravel(), **columns, "extrapolated": outside}
        )


def response_surface(*, table: pd.DataFrame) -> Surface:
    """Fit the surface.

    Args:
        table: One row a count: arm, gain, threshold (steady state, infinite without clipping), correct, samples; with
            benchmark and problem_id for accuracy. For the clip fraction, correct is clipped tokens, samples is tokens.
    """
    there = np.isfinite(table["threshold"]) & (table["threshold"] > 0) & (table["gain"] > 0) & (table["samples"] > 0)
    used = table[there].assign(benchmark=table.get("benchmark", "all"))
    dropped = table["arm"].nunique() - used["arm"].nunique()
    keys = ["arm", "gain", "threshold", "benchmark", *(["problem_id"] if "problem_id" in table else [])]
    # Seeds of an arm are one observation here, so their counts may as well be added up.
    used = used.groupby(keys, sort=False, observed=True)[["correct", "samples"]].sum().reset_index()
    left_out = f"; left out {dropped} without a finite threshold or a count" if dropped else ""
    at = np.log(used[["gain", "threshold"]].to_numpy(np.float64))
    arms = int(used["arm"].nunique())
    settings = np.unique(at.round(9), axis=0)
    nothing = Surface("none", "", arms, None, np.zeros(2), np.ones(2), settings)
    if len(settings) < PLANE_ARMS:
        return replace(nothing, reason=f"{len(settings)} settings are too few: a plane needs {PLANE_ARMS}{left_out}")
    centre, scale = settings.mean(axis=0), settings.std(axis=0)
    if (scale < 1e-9).any():
        return replace(nothing, reason=f"gain or threshold is the same in every arm{left_out}")
    reason = "" if len(settings) >= QUADRATIC_ARMS else f"a quadratic needs {QUADRATIC_ARMS} settings, not a plane"
    for quadratic in (True, False) if not reason else (False,):
        terms = _terms((at - centre) / scale, quadratic=quadratic)
        columns = {f"term {number}": terms[:, number] for number in range(terms.shape[1])}
        try:
            fit = logistic_regression(table=used.assign(**columns), regressors=list(columns), cluster="arm")
        except CannotFitError as error:
            reason = str(error)
            continue
        kind = "quadratic" if quadratic else "plane"
        return Surface(kind, (reason + left_out).lstrip("; "), arms, fit, centre, scale, settings)
    return replace(nothing, reason=reason + left_out)


def _terms(at: Floats, *, quadratic: bool) -> Floats:
    x, y = at.T
    return np.column_stack([x, y, x * x, x * y, y * y] if quadratic else [x, y])


def _inside(at: Floats, points: Floats) -> npt.NDArray[np.bool_]:
    try:
        return np.asarray(Delaunay(points).find_simplex(at, tol=1e-9) >= 0)
    except QhullError:  # all arms on one line
        return np.zeros(len(at), dtype=np.bool_)
