"""The estimators whose threshold a sequence's own innovations set, as a loop over tokens in torch, all rows at once.

It serves where `iskpo.kernels.causal_cpu` does not: on other devices, without numba, and where autograd is to find the
gradient. A quantile sorts the row's innovations anew for every token, so long responses take seconds on a GPU.
"""

import math

import torch
from torch import Tensor

from iskpo.settings import MAD_SCALE, RATE, WARM_UP, FilterSettings


def causal_filter(settings: FilterSettings, z: Tensor, observed: Tensor) -> tuple[Tensor, ...]:
    """Run ``mad``, ``ewma``, ``quantile`` or ``adaptive`` of `iskpo.robust`.

    Args:
        settings: Says which.
        z: Log ratios, (B, T), finite.
        observed: (B, T) bool.

    Returns:
        rho, innovation, gain, sigma, threshold, (B, T) float64, and clipped, (B, T) bool; zero or False where not
        observed. The threshold is infinite on the first tokens of a row.
    """
    measurements = z.double()
    if not z.shape[1]:
        return (*[measurements] * 5, z.bool())
    rho = torch.full_like(measurements[:, 0], settings.rho0)
    variance, mean = torch.full_like(rho, settings.p0), torch.zeros_like(rho)
    count = torch.zeros_like(rho, dtype=torch.int64)
    sizes: list[Tensor] = []
    steps = []
    for measured, here in zip(measurements.unbind(1), observed.unbind(1), strict=True):
        predicted = variance + settings.q
        innovation = measured - rho
        size = innovation.abs()
        warm = count >= WARM_UP
        # Where it is infinite nothing may flow through the branch that is not taken.
        known = torch.where(warm, _threshold(settings, mean, sizes, count), 1)
        threshold = torch.where(warm, known, math.inf)
        gain = predicted / (predicted + settings.v)
        cut = torch.where(warm, torch.minimum(torch.maximum(innovation, -known), known), innovation)
        rho = torch.where(here, rho + gain * cut, rho)
        variance = torch.where(here, gain * settings.v, variance)
        mean = torch.where(here, mean + RATE * (_fed(settings, size) - mean), mean)
        # Unobserved tokens stand behind all others.
        sizes.append(torch.where(here, size, math.inf))
        count = count + here
        steps.append((rho, innovation, gain, (predicted + settings.v).sqrt(), threshold, size > threshold))
    *floats, clipped = (torch.stack(column, dim=1) for column in zip(*steps, strict=True))
    return (*(torch.where(observed, x, 0) for x in floats), clipped & observed)


def _fed(settings: FilterSettings, size: Tensor) -> Tensor:
    """What the running mean is fed with."""
    if settings.estimator == "adaptive":
        return settings.kappa**2 * size**2 * (-(size**2) / settings.v).exp()
    return size


def _threshold(settings: FilterSettings, mean: Tensor, sizes: list[Tensor], count: Tensor) -> Tensor:
    """Return every row's threshold, (B,), from its innovations so far; where these are few it is not used."""
    if settings.estimator in ("ewma", "adaptive"):
        corrected = mean / (1 - (1 - RATE) ** count.clamp(min=1).double())
        # The root of 0 has no slope.
        return settings.kappa * corrected if settings.estimator == "ewma" else corrected.clamp(min=1e-300).sqrt()
    if len(sizes) < WARM_UP:
        return mean
    share = settings.kappa if settings.estimator == "quantile" else 0.5
    rank = (share * count.double()).ceil().long().clamp(min=1) - 1
    ordered = torch.stack(sizes, dim=1).sort(dim=1).values.gather(1, rank[:, None])[:, 0]
    return ordered if settings.estimator == "quantile" else settings.kappa * MAD_SCALE * ordered
