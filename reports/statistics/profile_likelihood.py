r"""Likelihoods with one share in [0, 1] and one variance, which is known given the share: one number is sought.

Tokens are independent and normal, token t with variance :math:`\sigma^2 r_t(s)`, where the share s sets :math:`r_t`.
Of n tokens with values :math:`e_t(s)` the most likely variance and the likelihood at it are

.. math:: \hat\sigma^2(s) = \frac{1}{n} \sum \frac{e_t^2}{r_t}, \qquad
   \ell(s) = -\frac{1}{2} \Bigl( n \log 2\pi\hat\sigma^2(s) + n + \sum \log r_t \Bigr)

Both sums are kept for each problem and each share of a grid, both borders among them. Tokens of one problem share the
prompt and the policy, and have heavy tails, so intervals come from a bootstrap over problems (Efron & Tibshirani 1993),
not from the likelihood's curvature: a resample is a weighted sum of what each problem adds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.statistics.two_variances import LEVEL

Floats = npt.NDArray[np.float64]
RESAMPLES = 999
# Of six problems intervals of 95 % covered 82 to 89 %, of 24 nearly what they promise.
FEWEST_CLUSTERS = 20
STEP = 0.25
LOG_ODDS = np.arange(-12.0, 12.01, STEP)


# A zoom looks closer by 16: after the last, log-odds are known to 4e-6.
_ZOOMS, _ZOOM_POINTS = 4, 33


def share_of(log_odds: npt.ArrayLike) -> Floats:
    """The share of given log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.asarray(log_odds, dtype=np.float64))))


SHARES = np.concatenate([[0.0], share_of(LOG_ODDS), [1.0]])
# What gives both sums for shares (G,), each (G, N) for N parts of the data.
Sums = Callable[[Floats], tuple[Floats, Floats]]


def profile(squares: npt.ArrayLike, logs: npt.ArrayLike, tokens: npt.ArrayLike) -> Floats:
    """The likelihood at the most likely variance, in nats, of sums that broadcast; infinite where all values are 0."""
    tokens = np.asarray(tokens, dtype=np.float64)
    with np.errstate(divide="ignore"):
        variance = np.asarray(squares, dtype=np.float64) / tokens
        return np.asarray(-0.5 * (tokens * (np.log(2 * math.pi * variance) + 1) + np.asarray(logs)))


def _by_cluster(parts: Floats, owner: npt.NDArray[np.integer], clusters: int) -> Floats:
    """Sums over what belongs to each cluster, (G, N) to (C, G)."""
    return np.stack([np.bincount(owner, weights=row, minlength=clusters) for row in parts], axis=1)


@dataclass(frozen=True)
class GridProfile:
    """Both sums of C clusters at each of `SHARES`.

    Attributes:
        squares: Sums of e^2 / r, (C, G).
        logs: Sums of log r, (C, G).
        tokens: Tokens of each cluster, (C,).
    """

    squares: Floats
    logs: Floats
    tokens: Floats

    @classmethod
    def of(cls, sums: Sums, *, owner: npt.NDArray[np.integer], tokens: npt.ArrayLike) -> "GridProfile":
        """Sort parts into clusters.

        Args:
            sums: What gives both sums.
            owner: The cluster of each part, counted from 0, (N,).
            tokens: Tokens of each part, (N,).
        """
        clusters = int(owner.max()) + 1
        squares, logs = (_by_cluster(parts, owner, clusters) for parts in sums(SHARES))
        of_clusters = np.bincount(owner, weights=np.asarray(tokens, dtype=np.float64)).astype(np.float64)
        return cls(squares, logs, of_clusters)

    @property
    def likelihood(self) -> Floats:
        """The log-likelihood of all clusters together at each share, (G,)."""
        return profile(self.squares.sum(axis=0), self.logs.sum(axis=0), self.tokens.sum())

    def most_likely(self, sums: Sums) -> tuple[float, float, float]:
        """Share, variance and likelihood at the maximum: the grid's best, looked closer at up to its neighbours."""
        best, tokens = int(self.likelihood.argmax()), self.tokens.sum()
        if not 0 < best < len(SHARES) - 1:
            variance = float(self.squares[:, best].sum() / tokens)
            return float(SHARES[best]), variance, float(self.likelihood[best])
        middle, reach = float(LOG_ODDS[best - 1]), STEP
        for _ in range(_ZOOMS):
            around = np.linspace(middle - reach, middle + reach, _ZOOM_POINTS)
            squares, logs = (parts.sum(axis=1) for parts in sums(share_of(around)))
            likelihood = profile(squares, logs, tokens)
            place = int(likelihood.argmax())
            middle, reach = float(around[place]), reach / (_ZOOM_POINTS // 2)
        return float(share_of(middle)), float(squares[place] / tokens), float(likelihood[place])

    def draws(self, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Floats, Floats]:
        """The most likely share and variance of resampled clusters, both (R,).

        The grid's best share is moved by a parabola through it and its neighbours.
        """
        clusters = len(self.tokens)
        weights = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
        tokens, drawn = weights @ self.tokens, weights @ self.squares
        found = profile(drawn, weights @ self.logs, tokens[:, None])
        best, rows = found.argmax(axis=1), np.arange(resamples)
        inner = np.clip(best, 2, len(SHARES) - 3)
        left, middle, right = (found[rows, inner + move] for move in (-1, 0, 1))
        # A draw of problems of which nothing has moved is infinitely likely without variance, whatever the share.
        with np.errstate(invalid="ignore", divide="ignore"):
            bend = left - 2 * middle + right
            moved = np.where(bend < 0, 0.5 * (left - right) / bend, 0.0)
        smooth = share_of(LOG_ODDS[inner - 1] + STEP * np.clip(moved, -0.5, 0.5))
        return np.where(best == inner, smooth, SHARES[best]), drawn[rows, best] / tokens


def bootstrap_interval(*, value: float, draws: npt.ArrayLike, clusters: int, share: bool) -> tuple[float, float]:
    r"""95 % interval of a positive number or a share, from a bootstrap over C clusters.

    On the scale of the logarithm, of a share the log-odds, where skewness is least,

    .. math:: g(\hat x) \pm t_{C-1} \sqrt{\tfrac{C}{C-1}} \, SD_{draws}(g)

    with Student's quantile and a factor for the few clusters, of which resamples vary too little (Hesterberg 2015,
    "What Teachers Should Know about the Bootstrap", section 3.2). At a border, 0 or 1, g is infinite; where resamples
    reach one, the ends are their quantiles at levels widened alike, :math:`\Phi(\pm t_{C-1} \sqrt{C / (C-1)})`.
    `benchmarks/calibration_local_level.py` measures what it covers.

    Args:
        value: The estimate.
        draws: That of each resample, (R,).
        clusters: C.
        share: Whether it lies between 0 and 1, and not above 0 alone.

    Returns:
        Both ends; NaN with fewer than `FEWEST_CLUSTERS`.
    """
    if clusters < FEWEST_CLUSTERS:
        return math.nan, math.nan
    drawn = np.asarray(draws, dtype=np.float64)
    wide = -math.sqrt(clusters / (clusters - 1)) * float(special.stdtrit(clusters - 1, (1 - LEVEL) / 2))
    forward, back = (special.logit, special.expit) if share else (np.log, np.exp)
    ends = np.quantile(drawn, special.ndtr([-wide, wide]))
    with np.errstate(divide="ignore"):
        middle, moved = forward(value), forward(drawn)
        inside = np.isfinite([middle, *forward(ends)]).all()
    if inside:
        half = wide * moved[np.isfinite(moved)].std()
        ends = back(np.array([middle - half, middle + half]))
    return float(ends[0]), float(ends[1])
