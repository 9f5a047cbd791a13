"""The filter as a specification: one token after another, float64, every quantity by its own line.

Everything faster in this package is tested against this file, which is written to be read and not to be fast.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iskpo.settings import check_filter


@dataclass(frozen=True)
class ReferenceResult:
    """What the specification computes; every array is (B, T), and zero or False outside the mask."""

    rho: npt.NDArray[np.float64]
    innovation: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]
    clipped: npt.NDArray[np.bool_]


def reference_filter(
    z: npt.ArrayLike,
    mask: npt.ArrayLike,
    *,
    q: float,
    v: float,
    kappa: float = math.inf,
    p0: float = 0.0,
    rho0: float = 0.0,
) -> ReferenceResult:
    """Innovation-saturated Kalman filter (Kalman filter for kappa = infinity), row by row and token by token.

    Args:
        z: Log ratios log pi - log pi_old, (B, T).
        mask: True on observed tokens, (B, T). The others carry the state and do not advance the variance.
        q: Process noise variance Q >= 0.
        v: Measurement noise variance V > 0.
        kappa: Innovations are clipped at kappa sigma; > 0.
        p0: Variance of rho before the first token, >= 0.
        rho0: rho before the first token.

    Returns:
        Filtered log ratios and what led to them.

    Raises:
        ValueError: A parameter outside its range.
    """
    check_filter(q=q, v=v, kappa=kappa, p0=p0, rho0=rho0)
    measured = np.asarray(z, dtype=np.float64)
    observed = np.asarray(mask, dtype=bool)
    rhos, innovations, gains, sigmas = (np.zeros(measured.shape) for _ in range(4))
    clipped = np.zeros(measured.shape, dtype=bool)

    for row in range(measured.shape[0]):
        rho, variance = rho0, p0
        for token in range(measured.shape[1]):
            if not observed[row, token]:
                continue
            predicted = variance + q
            sigma = math.sqrt(predicted + v)
            innovation = float(measured[row, token]) - rho
            threshold = kappa * sigma
            gain = predicted / (predicted + v)
            rho += gain * min(max(innovation, -threshold), threshold)
            variance = gain * v  # (1 - gain) * predicted, without cancelling when the gain is near 1

            rhos[row, token] = rho
            innovations[row, token] = innovation
            gains[row, token] = gain
            sigmas[row, token] = sigma
            clipped[row, token] = abs(innovation) > threshold
    return ReferenceResult(rho=rhos, innovation=innovations, gain=gains, sigma=sigmas, clipped=clipped)
