r"""Made-up training steps in which tokens are clipped, sequence by sequence, at a share that is known.

.. math:: c_i \sim Bin(n_i, p_i), \qquad p_i = p\,e^{\tau x_i - \tau^2/2}, \quad x_i \sim N(0, 1)

for sequence i of n tokens: some sequences are far from the old policy, and theirs are most of the clipped tokens.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clipping:
    """What is true of an arm.

    Attributes:
        fraction: Expected share p of clipped tokens.
        spread: Standard deviation tau of a sequence's logarithmic share.
        shortest: Fewest tokens of a sequence.
        longest: Most.
    """

    fraction: float
    spread: float
    shortest: int = 30
    longest: int = 75


def simulated_steps(
    *, random: np.random.Generator, clipping: Clipping, steps: int, sequences: int
) -> tuple[Floats, Floats, Floats]:
    """What the loss records of each step: share of clipped tokens, tokens, and its standard error; (steps,) each."""
    shape = (steps, sequences)
    tokens = random.integers(clipping.shortest, clipping.longest + 1, shape).astype(np.float64)
    shares = clipping.fraction * np.exp(clipping.spread * random.standard_normal(shape) - clipping.spread**2 / 2)
    clipped = random.binomial(tokens.astype(np.int64), np.minimum(shares, 1.0)).astype(np.float64)
    total = tokens.sum(axis=1)
    fractions = clipped.sum(axis=1) / total
    rest = clipped - fractions[:, None] * tokens
    errors = np.sqrt((rest**2).sum(axis=1) * sequences / (sequences - 1)) / total
    return fractions, total, np.where(clipped.any(axis=1), errors, math.nan)
