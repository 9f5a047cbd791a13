"""The filters as specifications: one token after another, float64, every quantity by its own line.

Everything faster in this package is tested against this file, which is written to be read and not to be fast. The
formulas of the robust filters and their sources are in `iskpo.robust`.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iskpo.closed_form import gain_table, sigma_table
from iskpo.settings import NOISE_FLOOR, ModelEstimator, check_filter


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
    return _filter(z, mask, np.full(np.shape(z), v), q=q, kappa=kappa, p0=p0, rho0=rho0)


def uncertain_reference_filter(
    z: npt.ArrayLike,
    mask: npt.ArrayLike,
    old_log_prob: npt.ArrayLike,
    *,
    q: float,
    v: float,
    kappa: float = math.inf,
    p0: float = 0.0,
    rho0: float = 0.0,
) -> ReferenceResult:
    """The filter of `iskpo.kernels.uncertain_noise`; arguments as of `reference_filter`, and log pi_old, (B, T)."""
    check_filter(q=q, v=v, kappa=kappa, p0=p0, rho0=rho0)
    unsure = -np.expm1(np.where(mask, old_log_prob, 0.0))
    return _filter(z, mask, v * np.maximum(unsure**2, NOISE_FLOOR), q=q, kappa=kappa, p0=p0, rho0=rho0)


def _filter(
    z: npt.ArrayLike,
    mask: npt.ArrayLike,
    noise: npt.NDArray[np.float64],
    *,
    q: float,
    kappa: float,
    p0: float,
    rho0: float,
) -> ReferenceResult:
    """The filter with a measurement noise variance for each token, (B, T)."""
    measured = np.asarray(z, dtype=np.float64)
    observed = np.asarray(mask, dtype=bool)
    rhos, innovations, gains, sigmas = (np.zeros(measured.shape) for _ in range(4))
    clipped = np.zeros(measured.shape, dtype=bool)

    for row in range(measured.shape[0]):
        rho, variance = rho0, p0
        for token in np.flatnonzero(observed[row]):
            v = float(noise[row, token])
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


@dataclass(frozen=True)
class RobustReferenceResult(ReferenceResult):
    """The same with the weight of each measurement."""

    weight: npt.NDArray[np.float64]


def robust_reference_filter(
    z: npt.ArrayLike,
    observed: npt.ArrayLike,
    *,
    estimator: ModelEstimator,
    q: float,
    v: float,
    kappa: float = math.inf,
    p0: float = 0.0,
    rho0: float = 0.0,
    state_kappa: float = math.inf,
) -> RobustReferenceResult:
    """One of the estimators of `iskpo.robust`, row by row and token by token.

    Args:
        z: Log ratios log pi - log pi_old, (B, T).
        observed: True on observed tokens, (B, T).
        estimator: Which; those with thresholds from data are in `iskpo.reference.reference_causal`.
        q: Process noise variance Q >= 0.
        v: Measurement noise variance V > 0.
        kappa: Threshold in standard deviations, > 0; ``ema`` has none.
        p0: Variance of rho before the first token, >= 0.
        rho0: rho before the first token.
        state_kappa: Of ``two_step``.

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
                case "two_step":
                    threshold, limit = kappa * math.sqrt(v), state_kappa * math.sqrt(predicted)
                    gain, flag = predicted / (predicted + v), size > threshold
                    # As the authors' code, with x1 and x2 as distances from the prediction.
                    beta0 = min(max(innovation, -threshold), threshold)
                    x1 = gain * beta0
                    alpha1 = min(max(x1, -limit), limit)
                    beta1 = min(max(innovation - x1, -threshold), threshold)
                    x2 = x1 - ((1 - gain) * alpha1 - gain * beta1)
                    weight = x2 / (gain * innovation) if gain * innovation else 1.0
                    rho += x2
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
