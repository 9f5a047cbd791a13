r"""Does a token's noise follow how unsure the old policy was of it?

A constant V says that all tokens are equally noisy. But the log probability of a token that the policy is sure of can
hardly move: by a step :math:`\epsilon` of its logit it moves by :math:`(1 - \pi) \epsilon`, so noise of variance
:math:`\propto (1 - \pi_{old})^2` is what small updates make. With :math:`u_t = 1 - \pi_{old}`, standardised innovations
of the constant model are taken to have variance

.. math:: \sigma^2 \Bigl( 1 - s + s \, u_t^2 \big/ \overline{u^2} \Bigr)

and the share s of the noise that follows the uncertainty is fitted by `reports.statistics.profile_likelihood`: 0 is a
constant V.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics.profile_likelihood import RESAMPLES, GridProfile, bootstrap_interval

Floats = npt.NDArray[np.float64]
# The old policy's log-probability is float32: a smaller uncertainty than this is not told from 0.
_SMALLEST = 1e-7


@dataclass(frozen=True)
class UncertaintyFit:
    """The most likely share s with its 95 % interval over problems, NaN where there is none.

    Attributes:
        share: s, 0 to 1.
        low: Its interval's lower end.
        high: And the upper.
        nats_per_token: By how much the innovations are more likely than under a constant V.
    """

    share: float
    low: float
    high: float
    nats_per_token: float


def fit_uncertainty(
    *,
    innovations: Sequence[Floats],
    old_log_prob: Sequence[Floats],
    clusters: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> UncertaintyFit:
    """How much of the noise follows the uncertainty.

    Args:
        innovations: Standardised innovations of each sequence, (T_i,).
        old_log_prob: log pi_old of the same tokens, <= 0.
        clusters: The problem of each sequence.
        resamples: Draws of the bootstrap.
        seed: Of the draws.

    Raises:
        ValueError: No innovation differs from 0.
    """
    there = [place for place, sequence in enumerate(innovations) if len(sequence)]
    counts = [len(innovations[place]) for place in there]
    squares = np.concatenate([np.empty(0), *innovations]) ** 2
    if not squares.any():
        raise ValueError("no innovation differs from 0: there is nothing to fit")
    uncertainty = np.maximum(-np.expm1(np.concatenate(old_log_prob).astype(np.float64)), _SMALLEST)
    scale = uncertainty**2 / np.mean(uncertainty**2)
    _, owner = np.unique([clusters[place] for place in there], return_inverse=True)
    begins = np.cumsum([0, *counts])[:-1]

    def sums(shares: Floats) -> tuple[Floats, Floats]:
        relative = [1 - share + share * scale for share in shares]
        return (
            np.stack([np.add.reduceat(squares / part, begins) for part in relative]),
            np.stack([np.add.reduceat(np.log(part), begins) for part in relative]),
        )

    grid = GridProfile.of(sums, owner=owner, tokens=counts)
    share, _, highest = grid.most_likely(sums)
    drawn, _ = grid.draws(resamples=resamples, seed=seed)
    low, high = bootstrap_interval(value=share, draws=drawn, clusters=len(grid.tokens), share=True)
    gained = highest - float(grid.likelihood[0])
    return UncertaintyFit(share=share, low=low, high=high, nats_per_token=gained / len(squares))
