r"""Which Q and V make observed log ratios most likely, under the model that the filter assumes.

The model is a level that moves as a random walk and is seen through noise, the local level model of Harvey 1989
(*Forecasting, Structural Time Series Models and the Kalman Filter*, sections 2.4 and 3.4), started as KPO's filter is,
at rho_0 = 0 with P_0 = 0:

.. math:: \rho_t = \rho_{t-1} + w_t, \quad w_t \sim N(0, Q), \qquad z_t = \rho_t + v_t, \quad v_t \sim N(0, V)

Innovations of its filter are independent, with variance :math:`\sigma_t^2 = V / (1 - K_t)`; the likelihood is theirs.
It is maximised over the steady-state gain K and the steady-state variance :math:`\sigma^2` of innovations, which reach
both borders without a singularity (K = 0 is Q = 0; K = 1 is V = 0): :math:`V = (1 - K) \sigma^2`,
:math:`Q = K^2 \sigma^2`. As :math:`r_t = \sigma_t^2 / \sigma^2` depends on K alone, this is a
`reports.statistics.profile_likelihood`; intervals are over problems.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iskpo.closed_form import gain_table
from reports.statistics.profile_likelihood import RESAMPLES, GridProfile, bootstrap_interval

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LocalLevelFit:
    """The most likely model, with 95 % intervals over problems; NaN where there is none.

    Attributes:
        tokens: Log ratios, n.
        clusters: Problems.
        gain: Steady-state gain K, 0 to 1.
        q: Variance of the level's steps, squared log-ratio units.
        v: Variance of the noise, likewise.
        intervals: Low and high of ``gain``, ``q`` and ``v``, by name.
        log_likelihood: At the maximum, in nats.
    """

    tokens: int
    clusters: int
    gain: float
    q: float
    v: float
    intervals: dict[str, tuple[float, float]]
    log_likelihood: float


def fit_local_level(
    *, sequences: Sequence[npt.ArrayLike], clusters: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> LocalLevelFit:
    """Maximum likelihood of (Q, V), exact for the model, with intervals from a bootstrap over clusters.

    Args:
        sequences: Observed log ratios of each sequence in order, finite, in log-ratio units; holes left out.
        clusters: The problem of each sequence.
        resamples: Draws of the bootstrap.
        seed: Of the draws.

    Raises:
        ValueError: There is no log ratio, or none that differs from 0: nothing has moved, and no model fits.
    """
    packed = _Packed.of(sequences)
    if not packed.z.any():
        raise ValueError("no log ratio differs from 0: there is nothing to fit")
    names, owner = np.unique(np.asarray(clusters)[packed.order], return_inverse=True)
    grid = GridProfile.of(packed.sums, owner=owner, tokens=packed.lengths)
    gain, variance, highest = grid.most_likely(packed.sums)
    gains, variances = grid.draws(resamples=resamples, seed=seed)
    values = {"gain": gain, "q": gain**2 * variance, "v": (1 - gain) * variance}
    drawn = {"gain": gains, "q": gains**2 * variances, "v": (1 - gains) * variances}
    return LocalLevelFit(
        tokens=packed.tokens,
        clusters=len(names),
        **values,
        intervals={
            name: bootstrap_interval(value=value, draws=drawn[name], clusters=len(names), share=name == "gain")
            for name, value in values.items()
        },
        log_likelihood=highest,
    )


def standardised_innovations(
    *, sequences: Sequence[npt.ArrayLike], q: float, v: float, p0: float = 0.0
) -> list[Floats]:
    """delta_t / sigma_t of the Kalman filter with these parameters and rho_0 = 0, nothing clipped, of each sequence.

    If the model holds they are independent and standard normal: the mean of their squares, the normalised innovation
    squared (NIS; Bar-Shalom, Li & Kirubarajan 2001, section 5.4), is 1.

    Args:
        sequences: Observed log ratios, as of `fit_local_level`.
        q: Variance of the level's steps, >= 0, squared log-ratio units.
        v: Variance of the noise, > 0, likewise.
        p0: Variance of the level before the first token, >= 0.
    """
    packed = _Packed.of(sequences)
    gains = gain_table(q=q, v=v, p0=p0, length=len(packed.z))
    found, level = np.empty_like(packed.z), np.zeros(packed.z.shape[1])
    for token, gain in enumerate(gains):
        found[token] = packed.z[token] - level
        level += gain * found[token]
    found *= np.sqrt((1 - gains) / v)[:, None]
    own = {int(place): found[: packed.lengths[column], column] for column, place in enumerate(packed.order)}
    return [own[place] for place in range(len(own))]


def log_likelihood(*, standardised: Sequence[Floats], q: float, v: float, p0: float = 0.0) -> float:
    """Log-likelihood in nats of the parameters by which `standardised_innovations` were made."""
    longest = max((len(sequence) for sequence in standardised), default=0)
    variances = v / (1 - gain_table(q=q, v=v, p0=p0, length=longest))
    logs = np.concatenate([[0.0], np.cumsum(np.log(2 * math.pi * variances))])
    return -0.5 * sum(float(logs[len(sequence)] + sequence @ sequence) for sequence in standardised)


@dataclass(frozen=True)
class _Packed:
    """Sequences side by side, longest first: z (T, N) padded with 0, lengths (N,), and which sequence each was (N,)."""

    z: Floats
    lengths: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]

    @classmethod
    def of(cls, sequences: Sequence[npt.ArrayLike]) -> "_Packed":
        arrays = [np.asarray(sequence, dtype=np.float64) for sequence in sequences]
        order = np.argsort([-len(array) for array in arrays], kind="stable").astype(np.int64)
        lengths = np.array([len(arrays[place]) for place in order], dtype=np.int64)
        z = np.zeros((int(lengths.max(initial=0)), len(arrays)))
        for column, place in enumerate(order):
            z[: lengths[column], column] = arrays[place]
        return cls(z, lengths, order)

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    def sums(self, gains: Floats) -> tuple[Floats, Floats]:
        """For each steady-state gain and sequence the sums of delta^2 / r and of log r, both (G, N)."""
        longest, count = self.z.shape
        table = np.ones((len(gains), longest))
        inside = gains < 1
        table[inside] = gain_table(q=(gains[inside] ** 2 / (1 - gains[inside])), v=1.0, length=longest)
        relative = np.ones_like(table)
        relative[inside] = (1 - gains[inside, None]) / (1 - table[inside])
        level, squares = np.zeros((len(gains), count)), np.zeros((len(gains), count))
        active = np.searchsorted(-self.lengths, -np.arange(longest))  # sequences that have a token there
        for token in range(longest):
            some = slice(active[token])
            innovation = self.z[token, some] - level[:, some]
            squares[:, some] += innovation**2 / relative[:, token, None]
            level[:, some] += table[:, token, None] * innovation
        logs = np.concatenate([np.zeros((len(gains), 1)), np.cumsum(np.log(relative), axis=1)], axis=1)
        return squares, logs[:, self.lengths]
