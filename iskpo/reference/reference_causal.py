"""The filters whose threshold follows from a sequence's own innovations, as specifications: each by its definition.

The formulas and their sources are in `iskpo.robust`. Every token looks at the whole list of innovations before it.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iskpo.reference.reference_filter import ReferenceResult
from iskpo.settings import MAD_SCALE, RATE, WARM_UP, CausalEstimator, check_filter


@dataclass(frozen=True)
class CausalReferenceResult(ReferenceResult):
    """The same with the threshold of each token, infinite where there is none yet."""

    threshold: npt.NDArray[np.float64]


def causal_threshold(before: list[float], *, estimator: CausalEstimator, kappa: float, v: float) -> float:
    """The threshold of a token, from the innovations before it in its sequence; infinite while they are few.

    Args:
        before: The innovations, oldest first.
        estimator: Which.
        kappa: Multiple of the scale, or share of innovations that pass (``quantile``).
        v: Measurement noise variance V, which ``adaptive`` looks at.
    """
    count = len(before)
    if count < WARM_UP:
        return math.inf
    sizes = [abs(innovation) for innovation in before]
    # Weight of each innovation in a running mean: (1 - rate)^age, all together 1.
    weights = np.array([(1 - RATE) ** age for age in range(count - 1, -1, -1)])
    weights /= weights.sum()
    match estimator:
        case "mad":
            return kappa * MAD_SCALE * sorted(sizes)[math.ceil(0.5 * count) - 1]
        case "quantile":
            return sorted(sizes)[max(math.ceil(kappa * count), 1) - 1]
        case "ewma":
            return kappa * float(weights @ sizes)
        case "adaptive":
            usual = np.array([size**2 * math.exp(-(size**2) / v) for size in sizes])
            return kappa * math.sqrt(float(weights @ usual))


def causal_reference_filter(
    z: npt.ArrayLike,
    observed: npt.ArrayLike,
    *,
    estimator: CausalEstimator,
    q: float,
    v: float,
    kappa: float,
    p0: float = 0.0,
    rho0: float = 0.0,
) -> CausalReferenceResult:
    """Clip every innovation at its `causal_threshold`; arguments as of `reference_filter.robust_reference_filter`."""
    check_filter(q=q, v=v, kappa=kappa, p0=p0, rho0=rho0)
    measured, seen = np.asarray(z, dtype=np.float64), np.asarray(observed, dtype=bool)
    rhos, innovations, gains, sigmas, thresholds = (np.zeros(measured.shape) for _ in range(5))
    clipped = np.zeros(measured.shape, dtype=bool)
    for row in range(measured.shape[0]):
        rho, variance = rho0, p0
        before: list[float] = []
        for token in np.flatnonzero(seen[row]):
            predicted = variance + q
            threshold = causal_threshold(before, estimator=estimator, kappa=kappa, v=v)
            innovation = float(measured[row, token]) - rho
            gain = predicted / (predicted + v)
            rho += gain * min(max(innovation, -threshold), threshold)
            variance = gain * v
            before.append(innovation)

            rhos[row, token] = rho
            innovations[row, token] = innovation
            gains[row, token] = gain
            sigmas[row, token] = math.sqrt(predicted + v)
            thresholds[row, token] = threshold
            clipped[row, token] = abs(innovation) > threshold
    return CausalReferenceResult(
        rho=rhos, innovation=innovations, gain=gains, sigma=sigmas, clipped=clipped, threshold=thresholds
    )
