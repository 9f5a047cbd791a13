"""Does a tail model predict the training steps that it was not fitted to?"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.statistics.accuracy import LEVEL
from reports.statistics.tails import EDGES, TailModel, fit_tail


def validate_tail(
    *,
    counts: npt.ArrayLike,
    held_out: npt.ArrayLike,
    levels: Sequence[float],
    threshold: float | None = None,
    level: float = LEVEL,
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
        threshold: u; by default `tail_threshold` of the fitted steps.
        level: Of the intervals.

    Returns:
        The model, and one row a level: x, predicted (a share), low, high, observed, tokens (held out, above x), inside
        (whether the held-out count lies in the interval), beyond (nothing that large was among the fitted steps).

    Raises:
        ValueError: No step is held out, or the tail cannot be fitted.
    """
    table, apart = np.asarray(counts, dtype=np.int64), np.asarray(held_out, dtype=np.bool_)
    if not apart.any():
        raise ValueError("validation needs steps that are held out")
    fitted, others = table[~apart], table[apart].sum(axis=0)
    model = fit_tail(counts=fitted, threshold=threshold)
    tokens, rows = int(others.sum()), []
    dispersion = _dispersion(fitted, model.threshold)
    for asked in levels:
        first = int(np.searchsorted(EDGES, asked, side="right")) - 1
        x, observed = float(EDGES[first]), int(others[first:].sum())
        value, draws = model.log_share_draws(x)
        mean = tokens * math.exp(value[0])
        ends = _count_interval(tokens * np.exp(draws[:, 0]), dispersion, level)
        rows.append(
            {
                "x": x,
                "predicted": mean / tokens,
                "low": ends[0] / tokens,
                "high": ends[1] / tokens,
                "observed": observed / tokens,
                "tokens": observed,
                "inside": ends[0] <= observed <= ends[1],
                "beyond": x >= model.largest,
            }
        )
    return model, pd.DataFrame(rows)


def _dispersion(counts: npt.NDArray[np.int64], threshold: float) -> float:
    """Pearson's chi-square over its degrees of freedom, of the exceedances of u by step."""
    above = counts[:, int(np.searchsorted(EDGES, threshold, side="right")) - 1 :].sum(axis=1)
    tokens = counts.sum(axis=1)
    expected = tokens * above.sum() / tokens.sum()
    return max(1.0, float(((above - expected) ** 2 / expected).sum()) / (len(above) - 1))


def _count_interval(means: npt.NDArray[np.float64], dispersion: float, level: float) -> tuple[float, float]:
    random = np.random.default_rng(0)
    if dispersion > 1.0:
        means = random.gamma(np.maximum(means, 1e-300) / (dispersion - 1.0), dispersion - 1.0)
    counts = random.poisson(np.minimum(means, 1e15))
    low, high = np.quantile(counts, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return float(low), float(high)
