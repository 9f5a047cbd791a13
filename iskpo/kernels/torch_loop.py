r"""The filter, its gradient and the alternative estimators as loops over tokens in torch, all rows at once.

They serve where no compiled kernel does: on a CPU without numba, on devices other than CUDA's, and where autograd is to
find the gradient of an alternative estimator. All arithmetic is float64, so a small gain loses nothing.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from iskpo.settings import FilterSettings


class Filtered(NamedTuple):
    """The filter's trajectory on any device, (B, T), 0 or False where not observed.

    Attributes:
        rho: The state after each token.
        clipped: Whether |innovation| exceeds the threshold.
        innovation: Gives the innovations z_t - rho_{t-1}, which not everybody asks for.
        finite: Says whether all innovations are finite. A z that is not finite makes its innovation so. May wait for
            the device.
        counts: Observed tokens n of each row, or -1 - n if not all of its innovations are finite, (B,) int32; only from
            where the gradient can use them.
    """

    rho: Tensor
    clipped: Tensor
    innovation: Callable[[], Tensor]
    finite: Callable[[], bool]
    counts: Tensor | None = None


def clipping_filter(z: Tensor, observed: Tensor, *, gain: Tensor, threshold: Tensor | None, rho0: float) -> Filtered:
    r"""Run the filter along each row, over observed tokens.

    .. math:: \rho_t = \rho_{t-1} + K_t\, \mathrm{clip}(z_t - \rho_{t-1}, \pm c_t)

    Args:
        z: Measurements, (B, T), float32 or float64; what stands where nothing is observed has no effect.
        observed: True on observed tokens, (B, T); the others carry the state and do not advance the count.
        gain: Gains by the number of tokens observed so far, (T + 1,) float64; entry 0 is not used.
        threshold: Clipping thresholds, indexed alike, or None for no clipping.
        rho0: State before the first token.

    Returns:
        The trajectory. The innovation is z_t - rho_{t-1} of the rho that is returned, and `clipped` is that innovation
        against the threshold, both in z's type.
    """
    if not z.numel():
        return Filtered(torch.empty_like(z), torch.empty_like(observed), lambda: torch.empty_like(z), lambda: True)
    count = observed.cumsum(1)
    limit = torch.full_like(z, math.inf) if threshold is None else threshold[count].to(z.dtype)
    # Not multiplied by the mask: a NaN in padding times zero would still be NaN.
    measured = torch.where(observed, z.detach(), 0)
    weight = torch.where(observed, gain[count], 0)
    states = [torch.full((len(z),), rho0, dtype=torch.float64, device=z.device)]
    for z_t, gain_t, limit_t in zip(*(x.double().unbind(1) for x in (measured, weight, limit)), strict=True):
        states.append(states[-1] + gain_t * (z_t - states[-1]).clamp(-limit_t, limit_t))
    rho = torch.stack(states, dim=1).to(z.dtype)
    innovation = torch.where(observed, measured - rho[:, :-1], 0)
    return Filtered(
        rho=torch.where(observed, rho[:, 1:], 0),
        clipped=innovation.abs() > limit,
        innovation=lambda: innovation,
        finite=lambda: bool(innovation.isfinite().all()),
    )


def filter_adjoint(grad_rho: Tensor, observed: Tensor, clipped: Tensor, *, gain: Tensor, counts: None = None) -> Tensor:
    r"""Gradient by z from the gradient g by rho: :math:`w_t\lambda_t`, over observed tokens, with

    .. math:: \lambda_t = g_t + (1 - w_{t+1}) \lambda_{t+1}, \quad w_t = K_t \text{ or } 0 \text{ where clipped}.

    Args:
        grad_rho: g, (B, T), float32 or float64; what stands where nothing is observed has no effect.
        observed: As the filter was given it, (B, T).
        clipped: As the filter returned it, (B, T).
        gain: As the filter was given it, (T + 1,) float64.
        counts: As the filter returned it.

    Returns:
        (B, T) of g's type; 0 where not observed.
    """
    if not grad_rho.numel():
        return torch.empty_like(grad_rho)
    weight = torch.where(observed & ~clipped, gain[observed.cumsum(1)], 0)
    gradient = torch.where(observed, grad_rho, 0).double()
    message = torch.zeros_like(gradient[:, 0])
    found = []
    for g_t, weight_t in zip(reversed(gradient.unbind(1)), reversed(weight.unbind(1)), strict=True):
        adjoint = g_t + message
        found.append(weight_t * adjoint)
        message = adjoint - found[-1]
    return torch.stack(found[::-1], dim=1).to(grad_rho.dtype)


def robust_filter(settings: FilterSettings, z: Tensor, observed: Tensor) -> tuple[Tensor, ...]:
    """Run an estimator of `iskpo.robust`; the gradient is autograd's, exact where no innovation lies on its threshold.

    Args:
        settings: Says which estimator, any but ``clip``.
        z: Log ratios, (B, T), finite.
        observed: (B, T) bool.

    Returns:
        rho, innovation, gain, sigma, weight, (B, T) float64, and clipped, (B, T) bool; zero or False where not
        observed.
    """
    v, estimator = settings.v, settings.estimator
    measurements = z.double()
    if not z.shape[1]:
        return (*[measurements] * 5, z.bool())
    rho = torch.full_like(measurements[:, 0], settings.rho0)
    variance = torch.full_like(rho, settings.p0)
    steps = []
    for measured, here in zip(measurements.unbind(1), observed.unbind(1), strict=True):
        predicted = variance + settings.q
        sigma = (predicted + v).sqrt()
        innovation = measured - rho
        share = _weight(settings, innovation, predicted, sigma)
        # The weight scales the innovation, or else the measurement's precision.
        step, precise = (share * innovation, 1) if estimator in ("saturated", "two_step") else (innovation, share)
        gain = precise * predicted / (precise * predicted + v)
        if estimator == "two_step":
            step, share = _two_steps(settings, innovation, predicted, gain)
        rho = torch.where(here, rho + gain * step, rho)
        variance = torch.where(here, predicted * (v / (precise * predicted + v)), variance)
        scale = math.sqrt(v) if estimator in ("saturated", "two_step", "wolf") else sigma
        clipped = innovation.abs() > settings.kappa * scale
        steps.append((rho, innovation, gain, sigma, share, clipped))
    *floats, clipped = (torch.stack(column, dim=1) for column in zip(*steps, strict=True))
    return (*(torch.where(observed, x, 0) for x in floats), clipped & observed)


def _two_steps(settings: FilterSettings, innovation: Tensor, predicted: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    """What the gain of ``two_step`` multiplies, and its weight, (B,)."""
    threshold, limit = settings.kappa * math.sqrt(settings.v), settings.state_kappa * predicted.sqrt()
    # Not clamp, whose gradient is 1 on an infinite bound times 0.
    first = gain * innovation.clamp(-threshold, threshold)
    kept = torch.minimum(torch.maximum(first, -limit), limit) if math.isfinite(settings.state_kappa) else first
    change = first - (1 - gain) * kept + gain * (innovation - first).clamp(-threshold, threshold)
    moved = gain * innovation
    weight = torch.where(moved != 0, change / torch.where(moved != 0, moved, 1), 1)
    return change / torch.where(gain > 0, gain, 1), weight


def _weight(settings: FilterSettings, innovation: Tensor, predicted: Tensor, sigma: Tensor) -> Tensor:
    """w of every row, (B,), by ratios that are at least 1, so that no untaken branch has a gradient that is NaN."""
    v, kappa = settings.v, settings.kappa
    if settings.estimator in ("ema", "two_step") or math.isinf(kappa):
        return torch.ones_like(innovation)
    match settings.estimator:
        case "saturated":
            excess = innovation.abs() / (kappa * math.sqrt(v))
        case "huber":
            excess = innovation.abs() / (kappa * sigma)
        case "wolf":
            excess = 1 + (innovation / kappa) ** 2 / v
        case "inflation":
            excess = ((innovation / kappa) ** 2 - predicted) / v
    return 1 / excess.clamp(min=1)
