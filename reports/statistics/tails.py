r"""The tail of \|innovation\| / sigma: a generalised Pareto model that says how much a higher threshold would clip.

Above a high enough level u the excess of almost any distribution is generalised Pareto (Pickands 1975; Coles 2001,
"An Introduction to Statistical Modeling of Extreme Values", chapter 4):

.. math:: P(X > x) = \zeta \left(1 + \xi \frac{x - u}{\beta}\right)^{-1/\xi}, \quad x > u,

with :math:`\zeta = P(X > u)`. With X = \|innovation\| / sigma of a filter that does not clip, P(X > kappa) is the clip
fraction at kappa **as far as clipping does not feed back** into later innovations and into training; for a filter with
the same gain the threshold is :math:`\kappa\sigma`. It is fitted to counts in bins (`iskpo.innovation_histogram`) by
maximum likelihood of the bins, :math:`\sum_i n_i \log(S(a_i) - S(b_i))`, S from `scipy.stats.genpareto`.

Tokens of one training step belong together, so the covariance of (log zeta, log beta, xi) is a sandwich over steps.
Intervals are quantiles of P under a multivariate t distribution of these three with T - 1 degrees of freedom: far out P
is anything but linear in xi. They cover neither a drift of the tail over training nor the model being wrong: hence
`validate_tail`, which asks whether the model predicts the training steps that it was not fitted to.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from iskpo.innovation_histogram import BINS, bin_bounds
from reports.statistics.two_variances import LEVEL

Floats = npt.NDArray[np.float64]
EDGES = np.array([*(bin_bounds(index)[0] for index in range(BINS)), math.inf])
FEWEST_EXCEEDANCES = 50
FEWEST_STEPS = 5
DRAWS = 4000


@dataclass(frozen=True)
class TailModel:
    """A fitted tail.

    Attributes:
        tail_from: u, a bound of a bin.
        share: zeta, share of tokens above u.
        shape: xi; above 0 a power law, 0 exponential, below 0 an end at u - beta/xi.
        scale: beta, in units of sigma.
        steps: Training steps T.
        largest: Upper bound of the highest bin that holds a token.
        influence: Influence of each step on (log zeta, log beta, xi), (T, 3).
    """

    tail_from: float
    share: float
    shape: float
    scale: float
    steps: int
    largest: float
    influence: Floats

    def log_share_draws(self, x: npt.ArrayLike) -> tuple[Floats, Floats]:
        """log P(X > x) (m,), and draws of it (`DRAWS`, m) from the t distribution of the parameters.

        Nothing is left of a tail beyond its end: -inf.

        Raises:
            ValueError: A level lies below u.
        """
        levels = np.atleast_1d(np.asarray(x, dtype=np.float64))
        if (levels < self.tail_from * (1 - 1e-12)).any():
            raise ValueError(f"the tail model begins at {self.tail_from:g}, and was asked about {levels.min():g}")
        theta = np.array([math.log(self.share), math.log(self.scale), self.shape])
        covariance = self.influence.T @ self.influence * self.steps / (self.steps - 1)
        drawn = stats.multivariate_t.rvs(
            theta, covariance, df=self.steps - 1, size=DRAWS, random_state=np.random.default_rng(0)
        )
        rows = np.vstack([theta, drawn])
        excess = levels - self.tail_from
        with np.errstate(divide="ignore"):
            values = rows[:, :1] + stats.genpareto.logsf(excess, rows[:, 2:], scale=np.exp(rows[:, 1:2]))
        return values[0], np.minimum(values[1:], 0.0)


def tail_start(*, counts: npt.ArrayLike) -> float:
    """The highest bound of a bin that at least 2 % of the tokens, and `FEWEST_EXCEEDANCES`, lie above."""
    above = np.cumsum(np.asarray(counts).sum(axis=0)[::-1])[::-1]
    enough = np.flatnonzero(above >= max(FEWEST_EXCEEDANCES, 0.02 * above[0]))
    if not enough.size:
        raise ValueError(f"{int(above[0])} tokens are too few for a tail: {FEWEST_EXCEEDANCES} must lie above u")
    return float(EDGES[enough[-1]])


def fit_tail(*, counts: npt.ArrayLike, tail_from: float | None = None) -> TailModel:
    """Fit the tail above u by maximum likelihood.

    Args:
        counts: Tokens by step and bin (T, BINS).
        tail_from: u, rounded down to the bound of a bin; by default `tail_start`.

    Raises:
        ValueError: Fewer than 5 steps or 50 tokens above u, or these fill fewer than 3 bins.
    """
    table = np.asarray(counts, dtype=np.int64)
    u = tail_start(counts=table) if tail_from is None else tail_from
    first = int(np.searchsorted(EDGES, u, side="right")) - 1
    tail, tokens, bound = table[:, first:], table.sum(axis=1), float(EDGES[first])
    total = tail.sum(axis=0)
    exceedances = int(total.sum())
    if len(table) < FEWEST_STEPS or exceedances < FEWEST_EXCEEDANCES or (total > 0).sum() < 3:
        raise ValueError(
            f"{exceedances} tokens above {bound:g} in {(total > 0).sum()} bins and {len(table)} steps cannot determine "
            f"a tail: it takes {FEWEST_EXCEEDANCES} in 3 bins and {FEWEST_STEPS} steps"
        )
    held = np.flatnonzero(total)
    low, high = EDGES[first + held] - bound, EDGES[first + held + 1] - bound
    seen, per_step = total[held].astype(np.float64), tail[:, held].astype(np.float64)

    def loss(theta: Floats) -> float:
        return -float(seen @ _log_bin(low, high, theta)) / exceedances

    middle = np.where(np.isfinite(high), (low + high) / 2, 2 * low)
    start = np.array([math.log(float(seen @ middle) / exceedances), 0.1])
    simplex = start + np.array([[0.0, 0.0], [0.3, 0.0], [0.0, 0.2]])
    options = {"xatol": 1e-7, "fatol": 1e-12, "maxiter": 2000, "initial_simplex": simplex}
    theta = np.asarray(optimize.minimize(loss, start, method="Nelder-Mead", options=options).x)
    scores = per_step @ _slopes(lambda at: _log_bin(low, high, at), theta)
    hessian = _slopes(lambda at: seen @ _slopes(lambda t: _log_bin(low, high, t), at), theta)
    share = exceedances / float(tokens.sum())
    of_share = (tail.sum(axis=1) - share * tokens) / exceedances
    influence = np.column_stack([of_share, -scores @ np.linalg.inv((hessian + hessian.T) / 2)])
    return TailModel(
        tail_from=bound,
        share=share,
        shape=float(theta[1]),
        scale=math.exp(theta[0]),
        steps=len(table),
        largest=float(EDGES[first + held[-1] + 1]),
        influence=influence,
    )


def validate_tail(
    *,
    counts: npt.ArrayLike,
    held_out: npt.ArrayLike,
    levels: Sequence[float],
    tail_from: float | None = None,
) -> tuple[TailModel, pd.DataFrame]:
    r"""Fit the tail to some steps and compare its clip fractions with those of the others.

    The number of held-out tokens above x is drawn from its predictive distribution: a mean :math:`m = N\,P(X > x)` from
    the draws of the fit, and around it a count with variance :math:`\phi m`, negative binomial, where :math:`\phi` is
    the dispersion of the exceedances of u among the fitted steps (variance over mean, at least 1).

    Hold out late steps to see whether an early tail predicts training's future, or every third to see whether the
    model fits.

    Args:
        counts: Tokens by step and bin (T, BINS).
        held_out: Which steps are not fitted, boolean (T,).
        levels: Values x of |innovation| / sigma, at least u; each is rounded down to the bound of a bin.
        tail_from: u; by default `tail_start` of the fitted steps.

    Returns:
        The model, and one row a level: x, predicted (a share), low, high, observed, inside (whether the held-out count
        lies in the interval), beyond (nothing that large was among the fitted steps).

    Raises:
        ValueError: No step is held out, or the tail cannot be fitted.
    """
    table, apart = np.asarray(counts, dtype=np.int64), np.asarray(held_out, dtype=np.bool_)
    if not apart.any():
        raise ValueError("validation needs steps that are held out")
    fitted, others = table[~apart], table[apart].sum(axis=0)
    model = fit_tail(counts=fitted, tail_from=tail_from)
    tokens, rows = int(others.sum()), []
    dispersion = _dispersion(fitted, model.tail_from)
    for asked in levels:
        first = int(np.searchsorted(EDGES, asked, side="right")) - 1
        x, observed = float(EDGES[first]), int(others[first:].sum())
        value, draws = model.log_share_draws(x)
        mean = tokens * math.exp(value[0])
        ends = _count_interval(tokens * np.exp(draws[:, 0]), dispersion)
        rows.append(
            {
                "x": x,
                "predicted": mean / tokens,
                "low": ends[0] / tokens,
                "high": ends[1] / tokens,
                "observed": observed / tokens,
                "inside": ends[0] <= observed <= ends[1],
                "beyond": x >= model.largest,
            }
        )
    return model, pd.DataFrame(rows)


def _log_bin(low: Floats, high: Floats, theta: Floats) -> Floats:
    """log of the chance of each bin; far below any other where the model gives none."""
    scale = math.exp(theta[0])
    chance = stats.genpareto.sf(low, theta[1], scale=scale) - stats.genpareto.sf(high, theta[1], scale=scale)
    return np.asarray(np.log(np.maximum(chance, 1e-300)))


def _slopes(function: Callable[[Floats], Floats], theta: Floats) -> Floats:
    """Central differences by the two parameters, last axis."""
    columns = []
    for step in (np.array([1e-4, 0.0]), np.array([0.0, 1e-4])):
        columns.append((function(theta + step) - function(theta - step)) / 2e-4)
    return np.stack(columns, axis=-1)


def _dispersion(counts: npt.NDArray[np.int64], tail_from: float) -> float:
    """Pearson's chi-square over its degrees of freedom, of the exceedances of u by step."""
    above = counts[:, int(np.searchsorted(EDGES, tail_from, side="right")) - 1 :].sum(axis=1)
    tokens = counts.sum(axis=1)
    expected = tokens * above.sum() / tokens.sum()
    return max(1.0, float(((above - expected) ** 2 / expected).sum()) / (len(above) - 1))


def _count_interval(means: Floats, dispersion: float) -> tuple[float, float]:
    random = np.random.default_rng(0)
    if dispersion > 1.0:
        means = random.gamma(np.maximum(means, 1e-300) / (dispersion - 1.0), dispersion - 1.0)
    counts = random.poisson(np.minimum(means, 1e15))
    low, high = np.quantile(counts, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return float(low), float(high)
