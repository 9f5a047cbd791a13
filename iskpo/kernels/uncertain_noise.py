r"""The Kalman filter whose measurement noise follows how unsure the old policy was of a token.

A small update moves the log probability of a token by :math:`(1 - \pi)` times what it moves its logit, so tokens that
the policy is sure of are measured with little noise and others with much. With
:math:`V_t = V \max\big((1 - \pi_{old,t})^2, \text{floor}\big)` in the place of V, and all else as for ``clip``:

.. math:: K_t = \frac{P^-_t}{P^-_t + V_t}, \quad \sigma_t = \sqrt{P^-_t + V_t}, \quad
    \rho_t = \rho_{t-1} + K_t\, \mathrm{clip}(z_t - \rho_{t-1}, \pm\kappa\sigma_t), \quad P_t = K_t V_t.

The floor, `iskpo.settings.NOISE_FLOOR`, stands in for what a token that is certain is still measured with. Gains follow
from the data, so there is no table of them: a loop over tokens, all rows at once, on any device.
"""

import math

import torch
from torch import Tensor

from iskpo.settings import NOISE_FLOOR, FilterSettings


def uncertain_filter(
    settings: FilterSettings, z: Tensor, observed: Tensor, old_log_prob: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Filter along each row; the gradient is autograd's, exact where no innovation lies on its threshold.

    Args:
        settings: Q, V, kappa, P_0 and rho_0.
        z: Log ratios, (B, T), finite.
        observed: (B, T) bool.
        old_log_prob: log pi_old, (B, T), finite where observed.

    Returns:
        rho, innovation, gain, sigma, (B, T) float64, and clipped, (B, T) bool; zero or False where not observed.
    """
    measurements = z.double()
    if not z.shape[1]:
        return (*[measurements] * 4, z.bool())  # type: ignore[return-value]
    unsure = -torch.expm1(torch.where(observed, old_log_prob.detach().double(), 0))
    noise = settings.v * (unsure * unsure).clamp(min=NOISE_FLOOR)
    rho = torch.full_like(measurements[:, 0], settings.rho0)
    variance = torch.full_like(rho, settings.p0)
    steps = []
    for measured, here, v in zip(measurements.unbind(1), observed.unbind(1), noise.unbind(1), strict=True):
        predicted = variance + settings.q
        sigma, gain = (predicted + v).sqrt(), predicted / (predicted + v)
        innovation, limit = measured - rho, settings.kappa * sigma
        # Not clamp, whose gradient is 1 on an infinite bound times 0.
        cut = innovation if math.isinf(settings.kappa) else torch.minimum(torch.maximum(innovation, -limit), limit)
        rho = torch.where(here, rho + gain * cut, rho)
        variance = torch.where(here, gain * v, variance)
        steps.append((rho, innovation, gain, sigma, innovation.abs() > limit))
    *floats, clipped = (torch.stack(column, dim=1) for column in zip(*steps, strict=True))
    rho, innovation, gain, sigma = (torch.where(observed, x, 0) for x in floats)
    return rho, innovation, gain, sigma, clipped & observed
