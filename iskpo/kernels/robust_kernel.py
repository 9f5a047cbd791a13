"""The robust filters of `iskpo.robust` as compiled by numba for the CPU: rows in parallel, float64 inside.

Imported only where numba is installed and no gradient is asked for.
"""

import math
from typing import get_args

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from iskpo.kernels.threads import threads_of_torch
from iskpo.settings import RobustEstimator

_CODES = {name: code for code, name in enumerate(get_args(RobustEstimator))}
_SATURATED, _HUBER, _WOLF, _INFLATION, _EMA = range(5)


def run(
    z: Tensor,
    observed: Tensor,
    *,
    estimator: RobustEstimator,
    q: float,
    v: float,
    kappa: float,
    p0: float,
    rho0: float,
) -> tuple[Tensor, ...]:
    """As `iskpo.kernels.robust_loop.run`, without a gradient; the numbers come in z's type."""
    with threads_of_torch():
        results = _kernel(
            z.contiguous().numpy(), observed.contiguous().numpy(), _CODES[estimator], q, v, kappa, p0, rho0
        )
    return tuple(torch.from_numpy(x) for x in results)


# Division by zero is infinity, as in numpy: an excess that overflows has the weight 0.
@njit(parallel=True, cache=True, error_model="numpy")
def _kernel(z, observed, code, q, v, kappa, p0, rho0):  # type: ignore[no-untyped-def]
    rows, tokens = z.shape
    rhos, innovations, gains = np.zeros_like(z), np.zeros_like(z), np.zeros_like(z)
    sigmas, weights, clips = np.zeros_like(z), np.zeros_like(z), np.zeros_like(observed)
    root = math.sqrt(v)
    for row in prange(rows):
        rho, variance = rho0, p0
        for token in range(tokens):
            if not observed[row, token]:
                continue
            predicted = variance + q
            sigma = math.sqrt(predicted + v)
            innovation = np.float64(z[row, token]) - rho
            size = abs(innovation)
            threshold = kappa * (root if code in (_SATURATED, _WOLF) else sigma)
            excess = 1.0
            if code == _WOLF:
                excess = 1.0 + (size / kappa) ** 2 / v
            elif size > threshold:
                excess = ((size / kappa) ** 2 - predicted) / v if code == _INFLATION else size / threshold
            weight = 1.0 / max(excess, 1.0)
            precise = 1.0 if code == _SATURATED else weight
            precision = precise * predicted + v
            gain = precise * predicted / precision
            rho += gain * (innovation * weight if code == _SATURATED else innovation)
            variance = predicted * (v / precision)
            rhos[row, token] = rho
            innovations[row, token] = innovation
            gains[row, token] = gain
            sigmas[row, token] = sigma
            weights[row, token] = weight
            clips[row, token] = size > threshold
    return rhos, innovations, gains, sigmas, weights, clips
