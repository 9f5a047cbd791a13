"""The robust filters as specifications: one token after another, float64, every estimator by its own lines.

The formulas and their sources are in `iskpo.robust`; everything faster is tested against this file.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iskpo.closed_form import gain_table, sigma_table
from iskpo.settings import RobustEstimator, check_filter


@dataclass(frozen=True)
class RobustReferenceResult:
    """What the specification computes; every array is (B, T), and zero or False where not observed."""

    rho: npt.NDArray[np.float64]
    innovation: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]
    clipped: npt.NDArray[np.bool_]
    weight: npt.NDArray[np.float64]


def robust_reference_filter(
    z: npt.ArrayLike,
    observed: npt.ArrayLike,
    *,
    estimator: RobustEstimator,
    q: float,
    v: float,
    kappa: float = math.inf,
    p0: float = 0.0,
    rho0: float = 0.0,
) -> RobustReferenceResult:
    """One of the estimators of `iskpo.robust`, row by row and token by token.

    Args:
        z: Log ratios log pi - log pi_old, (B, T).
        observed: True on observed tokens, (B, T).
        estimator: Which.
        q: Process noise variance Q >= 0.
        v: Measurement noise variance V > 0.
        kappa: Threshold in standard deviations, > 0; ``ema`` has none.
        p0: Variance of rho before the first token, >= 0.
        rho0: rho before the first token.

    Returns:
        Filtered log ratios and what led to them.

    Raises:
        ValueError: A parameter outside its range.
    """
    check_filter(q=q, v=v, kappa=kappa, p0=p0, rho0=rho0)
    measured = np.asarray(z, dtype=np.float64)
    seen = np.asarray(observed, dtype=bool)
    rhos, innovations, gains, sigmas, weights = (np.zeros(measured.shape) for _ in range(5))
    clipped = np.zeros(measured.shape, dtype=bool)
    schedule = gain_table(q=q, v=v, p0=p0, length=measured.shape[1])
    deviations = sigma_table(q=q, v=v, p0=p0, length=measured.shape[1])

    for row in range(measured.shape[0]):
        rho, variance = rho0, p0
        for count, token in enumerate(np.flatnonzero(seen[row])):
            predicted = variance + q
            sigma = math.sqrt(predicted + v)
            innovation = float(measured[row, token]) - rho
            size = abs(innovation)
            flag = False
            match estimator:
                case "saturated":
                    threshold = kappa * math.sqrt(v)
                    gain, flag = predicted / (predicted + v), size > threshold
                    weight = threshold / size if flag else 1.0
                    rho += gain * min(max(innovation, -threshold), threshold)
                    variance = gain * v
                case "huber":
                    flag = size > kappa * sigma
                    weight = kappa * sigma / size if flag else 1.0
                    noise = v / weight
                    gain = predicted / (predicted + noise)
                    rho += gain * innovation
                    variance = gain * noise
                case "wolf":
                    flag = size > kappa * math.sqrt(v)
                    imq = (1 + (size / (kappa * math.sqrt(v))) ** 2) ** -0.5
                    weight = imq**2
                    noise = v / weight
                    gain = predicted / (predicted + noise)
                    rho += gain * innovation
                    variance = gain * noise
                case "inflation":
                    flag = size > kappa * sigma
                    noise = (size / kappa) ** 2 - predicted if flag else v
                    weight = v / noise
                    gain = predicted / (predicted + noise)
                    rho += gain * innovation
                    variance = gain * noise
                case "ema":
                    gain, sigma, weight = float(schedule[count]), float(deviations[count]), 1.0
                    rho = (1 - gain) * rho + gain * float(measured[row, token])

            rhos[row, token] = rho
            innovations[row, token] = innovation
            gains[row, token] = gain
            sigmas[row, token] = sigma
            clipped[row, token] = flag
            weights[row, token] = weight
    return RobustReferenceResult(
        rho=rhos, innovation=innovations, gain=gains, sigma=sigmas, clipped=clipped, weight=weights
    )
