"""The CPU's kernel of the estimators whose threshold a sequence's own innovations set; rows in parallel.

The quantiles keep the row's |innovation|s sorted, each put in its place as it comes: at 4,096 tokens that moves as much
memory as sorting twice, and no token is looked at more often than the sorted run is long.
"""

# numba declares no types.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import math

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from iskpo.kernels.cpu import threads_of_torch
from iskpo.settings import CAUSAL, MAD_SCALE, RATE, WARM_UP, FilterSettings


def causal_filter(settings: FilterSettings, z: Tensor, observed: Tensor) -> tuple[Tensor, ...]:
    """As `iskpo.kernels.causal_torch.causal_filter`, without a gradient; the numbers come in z's type."""
    results = tuple(torch.zeros_like(z, memory_format=torch.contiguous_format) for _ in range(5))
    clipped = torch.zeros(z.shape, dtype=torch.bool)
    arrays = (x.numpy() for x in (z.contiguous(), observed.contiguous(), *results, clipped))
    kind = (settings.estimator == name for name in CAUSAL)
    numbers = (settings.q, settings.v, settings.kappa, settings.p0, settings.rho0, RATE, MAD_SCALE)
    with threads_of_torch():
        _filter(*arrays, *kind, *map(float, numbers), WARM_UP)
    return (*results, clipped)


@njit(parallel=True, cache=True, error_model="numpy")
def _filter(
    z, observed, rhos, innovations, gains, sigmas, thresholds, clipped,
    mad, ewma, quantile, adaptive, q, v, kappa, p0, rho0, rate, mad_scale, warm_up,
):  # fmt: skip
    for row in prange(len(z)):
        rho, variance = rho0, p0
        mean, count, left = 0.0, 0, 1.0
        kept = np.empty(z.shape[1] if mad or quantile else 0)
        for token in range(z.shape[1]):
            if not observed[row, token]:
                continue
            predicted = variance + q
            innovation = z[row, token] - rho
            size = abs(innovation)
            threshold = math.inf
            if count >= warm_up:
                if ewma:
                    threshold = kappa * mean / (1.0 - left)
                elif adaptive:
                    threshold = math.sqrt(mean / (1.0 - left))
                else:
                    share = kappa if quantile else 0.5
                    ordered = kept[max(math.ceil(share * count), 1) - 1]
                    threshold = ordered if quantile else kappa * mad_scale * ordered
            gain = predicted / (predicted + v)
            rho += gain * min(max(innovation, -threshold), threshold)
            variance = gain * v
            if ewma:
                mean += rate * (size - mean)
            elif adaptive:
                mean += rate * (kappa * kappa * size * size * math.exp(-size * size / v) - mean)
            else:
                place = count
                while place > 0 and kept[place - 1] > size:
                    kept[place] = kept[place - 1]
                    place -= 1
                kept[place] = size
            left *= 1.0 - rate
            count += 1
            rhos[row, token] = rho
            innovations[row, token] = innovation
            gains[row, token] = gain
            sigmas[row, token] = math.sqrt(predicted + v)
            thresholds[row, token] = threshold
            clipped[row, token] = size > threshold
