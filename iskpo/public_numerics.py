r"""The published float32 formula of KPO's filter, kept so that a study can compare it with the exact one.

Written from a description, not from the public code: gains come from sinh((k + 1) eta), which overflows, and the
filter from :math:`\rho_t = A_t \sum_{s \le t} z_s K_s / A_s` with :math:`A_t = \prod_{s \le t} (1 - K_s)` clamped at
1e-30. What the description leaves open was settled by its measurements (student-t(3) z x 0.05, V = 1): where they
overflow fits :math:`U_k = \sinh((k + 1)\eta) / \sinh(\eta)`, and their error at Q = 1e-6 fits eta = acosh(1 + q/2) in
float32. NaN then comes at the described token for every Q (871 at Q = 1e-2, 2718 at 1e-3, 394 at 5e-2), and the
departure before it within two tokens of the described one. Three things are ours: P_0 other than 0, holes in the mask
(gain 0: the state is carried), and no special case where 1 + q/2 rounds to 1 (q below 1.2e-7), where the gain is NaN
from the first token.
"""

import math

import torch
from torch import Tensor

_SMALLEST_PRODUCT = 1e-30


def public_gain_table(
    *, q: float, v: float, p0: float = 0.0, length: int, device: torch.device | str = "cpu"
) -> Tensor:
    r"""Gains by the t-th power of the Riccati map's matrix, in float32.

    With :math:`M = [[1, q], [1, q + 1]]` (q = Q/V) and :math:`K_0 = P_0/V`:
    :math:`K_t = M^t(K_0)`, :math:`M^t = U_{t-1} M - U_{t-2} I`.

    Args:
        q: Process noise variance Q.
        v: Measurement noise variance V.
        p0: Variance of rho before the first token.
        length: Number of observed tokens.
        device: Where to compute.

    Returns:
        (length,) float32; NaN where the hyperbolic sine has overflowed.
    """
    ratio, start = q / v, p0 / v
    eta = torch.acosh(torch.tensor(1 + ratio / 2, dtype=torch.float32, device=device))
    index = torch.arange(length, dtype=torch.float32, device=device)
    this = torch.sinh((index + 1) * eta) / torch.sinh(eta)
    previous = torch.sinh(index * eta) / torch.sinh(eta)
    upper = (this - previous) * start + ratio * this
    return upper / (this * start + (ratio + 1) * this - previous)


def public_filter(
    z: Tensor, observed: Tensor, *, q: float, v: float, kappa: float, p0: float, rho0: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Filter by cumulative sum and product in float32, differentiable by autograd.

    Args:
        z: Log ratios, (B, T), zero where not observed.
        observed: True on observed tokens, (B, T).
        q: Process noise variance Q.
        v: Measurement noise variance V.
        kappa: Only infinity: the formula is linear.
        p0: Variance of rho before the first token.
        rho0: rho before the first token.

    Returns:
        rho, z_t - rho_{t-1} and the gains, (B, T) in z's type; NaN and infinities as they come out.

    Raises:
        ValueError: kappa is finite.
    """
    if not math.isinf(kappa):
        raise ValueError(f"kappa must be infinity with numerics 'public-cumsum-fp32', which cannot clip, got {kappa}")
    table = public_gain_table(q=q, v=v, p0=p0, length=z.shape[1], device=z.device)
    seen = observed.cumsum(1) * observed
    gain = torch.nn.functional.pad(table, (1, 0))[seen]
    product = torch.cumprod(1 - gain, 1).clamp(min=_SMALLEST_PRODUCT)
    rho = product * (rho0 + torch.cumsum(z.float() * gain / product, 1))
    before = torch.nn.functional.pad(rho.detach(), (1, 0), value=rho0)[:, :-1]
    return rho.to(z.dtype), (z.detach() - before).to(z.dtype), gain.to(z.dtype)
