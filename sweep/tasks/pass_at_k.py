"""pass@k for every k at once: the chance that at least one of k samples is right."""

import numpy as np
import numpy.typing as npt


def pass_at_every_k(*, correct: npt.ArrayLike, samples: int) -> npt.NDArray[np.float64]:
    r"""Unbiased pass@1 ... pass@n of each problem (Chen et al. 2021, arXiv 2107.03374, section 2.1).

    With c of n samples right,

    .. math:: 1 - \binom{n-c}{k} \Big/ \binom nk = 1 - \prod_{i=0}^{k-1} \frac{n-c-i}{n-i}.

    The product has no factor above 1 and needs no binomial, so no n overflows; it is exactly 0 once k > n - c. pass@1
    is avg@n, and pass@n whether anything was right.

    Args:
        correct: Right samples c of each problem, whole numbers (G,).
        samples: Samples n of each problem, >= 1.

    Returns:
        (G, n), float64; column k - 1 holds pass@k. A benchmark's value is the mean over rows: the unit is the problem.

    Raises:
        ValueError: n < 1, or a c that is no whole number from 0 to n.

    >>> pass_at_every_k(correct=[1], samples=4)
    array([[0.25, 0.5 , 0.75, 1.  ]])
    """
    counts = np.asarray(correct, dtype=np.float64)
    if (
        samples < 1
        or counts.ndim != 1
        or not np.all((counts >= 0) & (counts <= samples) & (counts == np.floor(counts)))
    ):
        raise ValueError(f"each problem needs between 0 and n right samples of n >= 1, got n = {samples}, {correct!r}")
    drawn = np.arange(samples, dtype=np.float64)
    left = np.maximum(samples - counts[:, None] - drawn, 0.0) / (samples - drawn)
    missed = np.cumprod(left, axis=1)
    return np.asarray(1.0 - missed, dtype=np.float64)
