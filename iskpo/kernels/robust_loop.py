"""The robust filters of `iskpo.robust` as a loop over tokens in torch: all rows at once, any device, differentiable."""

import math

import torch
from torch import Tensor

from iskpo.settings import RobustEstimator


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
    """Filter; the gradient is autograd's, and exact where no innovation lies on its threshold.

    Args:
        z: Log ratios, (B, T), finite.
        observed: (B, T) bool.
        estimator: Which.
        q: Process noise variance.
        v: Measurement noise variance.
        kappa: Threshold in standard deviations.
        p0: Variance of rho before the first token.
        rho0: rho before the first token.

    Returns:
        rho, innovation, gain, sigma, weight, (B, T) float64, and clipped, (B, T) bool; zero or False where not
        observed.
    """
    measurements = z.double()
    if not z.shape[1]:
        return (*[measurements] * 5, z.bool())
    rho = torch.full_like(measurements[:, 0], rho0)
    variance = torch.full_like(rho, p0)
    steps = []
    for measured, here in zip(measurements.unbind(1), observed.unbind(1), strict=True):
        predicted = variance + q
        sigma = (predicted + v).sqrt()
        innovation = measured - rho
        share = _weight(estimator, innovation, predicted, sigma, v=v, kappa=kappa)
        # Of the innovation or of the measurement's precision.
        step, precise = (share * innovation, 1) if estimator == "saturated" else (innovation, share)
        gain = precise * predicted / (precise * predicted + v)
        rho = torch.where(here, rho + gain * step, rho)
        variance = torch.where(here, predicted * (v / (precise * predicted + v)), variance)
        scale = math.sqrt(v) if estimator in ("saturated", "wolf") else sigma
        clipped = innovation.abs() > kappa * scale
        steps.append((rho, innovation, gain, sigma, share, clipped))
    *floats, clipped = (torch.stack(column, dim=1) for column in zip(*steps, strict=True))
    return (*(torch.where(observed, x, 0) for x in floats), clipped & observed)


def _weight(
    estimator: RobustEstimator, innovation: Tensor, predicted: Tensor, sigma: Tensor, *, v: float, kappa: float
) -> Tensor:
    """w of every row, (B,), by ratios that are at least 1, so that no untaken branch has a gradient that is NaN."""
    if estimator == "ema" or math.isinf(kappa):
        return torch.ones_like(innovation)
    match estimator:
        case "saturated":
            excess = innovation.abs() / (kappa * math.sqrt(v))
        case "huber":
            excess = innovation.abs() / (kappa * sigma)
        case "wolf":
            excess = 1 + (innovation / kappa) ** 2 / v
        case "inflation":
            excess = ((innovation / kappa) ** 2 - predicted) / v
    return 1 / excess.clamp(min=1)
