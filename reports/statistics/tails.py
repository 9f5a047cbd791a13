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
is anything but linear in xi. They cover neither a drift of the tail over training nor the model
being wrong: hence `reports.statistics.tail_validation`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from iskpo.innovation_histogram import BINS, METRIC_PREFIX, bin_bounds
from reports.statistics.accuracy import LEVEL

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
EDGES = np.array([*(bin_bounds(index)[0] for index in range(BINS)), math.inf])
FEWEST_EXCEEDANCES = 50
FEWEST_STEPS = 5
DRAWS = 4000


@dataclass(frozen=True)
class TailModel:
    """A fitted tail.

    Attributes:
        threshold: u, a bound of a bin.
        share: zeta, share of tokens above u.
        shape: xi; above 0 a power law, 0 exponential, below 0 an end at u - beta/xi.
        scale: beta, in units of sigma.
        exceedances: Tokens above u.
        steps: Training steps T.
        largest: Upper bound of the highest bin that holds a token.
        influence: Of each step on (log zeta, log beta, xi), (T, 3).
    """

    threshold: float
    share: float
    shape: float
    scale: float
    exceedances: int
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
        if (levels < self.threshold * (1 - 1e-12)).any():
            raise ValueError(f"the tail model begins at {self.threshold:g}, and was asked about {levels.min():g}")
        theta = np.array([math.log(self.share), math.log(self.scale), self.shape])
        covariance = self.influence.T @ self.influence * self.steps / (self.steps - 1)
        drawn = stats.multivariate_t.rvs(
            theta, covariance, df=self.steps - 1, size=DRAWS, random_state=np.random.default_rng(0)
        )
        rows = np.vstack([theta, drawn])
        excess = levels - self.threshold
        with np.errstate(divide="ignore"):
            values = rows[:, :1] + stats.genpareto.logsf(excess, rows[:, 2:], scale=np.exp(rows[:, 1:2]))
        return values[0], np.minimum(values[1:], 0.0)

    def share_above(self, x: npt.ArrayLike, *, level: float = LEVEL) -> pd.DataFrame:
        """P(X > x): columns x, share, low, high, beyond (nothing that large was seen)."""
        value, draws = self.log_share_draws(x)
        low, high = np.quantile(np.exp(draws), [(1 - level) / 2, (1 + level) / 2], axis=0)
        levels = np.atleast_1d(np.asarray(x, dtype=np.float64))
        beyond = levels >= self.largest
        return pd.DataFrame({"x": levels, "share": np.exp(value), "low": low, "high": high, "beyond": beyond})


def histogram_counts(*, steps: pd.DataFrame) -> Counts:
    """Tokens by step and bin (T, BINS), from the metrics that `InnovationHistogram.as_metrics` logs; absent is 0."""
    counts = np.zeros((len(steps), BINS), dtype=np.int64)
    for name in steps.columns:
        if str(name).startswith(METRIC_PREFIX):
            counts[:, int(str(name).removeprefix(METRIC_PREFIX))] = steps[name].fillna(0).to_numpy(np.int64)
    return counts


def bin_values(*, values: Sequence[npt.ArrayLike]) -> Counts:
    """Raw |innovation| / sigma of each step in the same bins (T, BINS)."""
    return np.array([np.histogram(np.asarray(step, float), bins=EDGES)[0] for step in values], dtype=np.int64)


def tail_threshold(*, counts: npt.ArrayLike, share: float = 0.02) -> float:
    """The highest bound of a bin that at least a share of the tokens, and `FEWEST_EXCEEDANCES`, lie above."""
    above = np.cumsum(np.asarray(counts).sum(axis=0)[::-1])[::-1]
    enough = np.flatnonzero(above >= max(FEWEST_EXCEEDANCES, share * above[0]))
    if not enough.size:
        raise ValueError(f"{int(above[0])} tokens are too few for a tail: {FEWEST_EXCEEDANCES} must lie above u")
    return float(EDGES[enough[-1]])


def fit_tail(*, counts: npt.ArrayLike, threshold: float | None = None) -> TailModel:
    """Fit the tail above u by maximum likelihood.

    Args:
        counts: Tokens by step and bin (T, BINS).
        threshold: u, rounded down to the bound of a bin; by default `tail_threshold`.

    Raises:
        ValueError: Fewer than 5 steps or 50 tokens above u, or these fill fewer than 3 bins.
    """
    table = np.asarray(counts, dtype=np.int64)
    u = tail_threshold(counts=table) if threshold is None else threshold
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
        threshold=bound,
        share=share,
        shape=float(theta[1]),
        scale=math.exp(theta[0]),
        exceedances=exceedances,
        steps=len(table),
        largest=float(EDGES[first + held[-1] + 1]),
        influence=influence,
    )


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
