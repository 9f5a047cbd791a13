r"""The published float32 formula of KPO's filter, kept so that a study can compare it with the exact one.

The formulas are those of ``kalman_filter`` in shuohe1995/verl-kpo (``verl/trainer/ppo/core_algos.py``, revision
c3135943 of 2026-03-02, Apache-2.0), read there and written anew; all of it is float32:

- Gains are powers of the Riccati map's matrix by :math:`U_k = \sinh((k + 1)\eta)/\sinh\eta`, with s = 1 + q/2 and
  :math:`\eta = \log(s + \sqrt{s^2 - 1})`, then held between 1e-6 and 1 - 1e-6. For Q/V < 1e-12 there is a guard,
  :math:`U_k = k + 1`. From 1e-12 to 1.19e-7 there is none: s rounds to 1, and every gain is 0/0, NaN from the first
  token. At the first tokens the floor of 1e-6 is more than the exact gain wherever Q/V is below it.
- The filter is :math:`\rho_t = A_t \sum_{s \le t} z_s K_s / A_s` with :math:`A_t = \prod_{s \le t} (1 - K_s)`, by
  logarithms, held above 1e-30. When A reaches that floor the sum goes on growing with the wrong weights: rho departs.
  When the hyperbolic sine overflows, gains and rho are NaN.

Both were run beside each other on a CPU, for Q/V from 1e-13 to 1e6 (V = 1, P_0 = 0) over 4096 tokens without holes:
gains and rho were the same to the last bit, NaN included. Two things are ours: where the mask has holes the state is
carried and the gain waits (the public code filters a measurement of 0 there), and NaN in padding has no effect (there
it spreads to later tokens).
"""

import math

import torch
from torch import Tensor

_LOG_SMALLEST_PRODUCT = math.log(1e-30)
_GAINS = (1e-6, 1 - 1e-6)
_GUARDED_BELOW = 1e-12


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
        (length,) float32; NaN where the hyperbolic sine has overflowed, or s has rounded to 1.
    """
    process, noise, start = (torch.tensor(value, dtype=torch.float32, device=device) for value in (q, v, p0))
    ratio, start = process / noise, start / noise
    index = torch.arange(length + 1, dtype=torch.float32, device=device)
    if ratio < _GUARDED_BELOW:
        powers = index
    else:
        half_trace = 1 + ratio / 2
        eta = torch.log(half_trace + torch.sqrt(half_trace * half_trace - 1))
        powers = torch.sinh(index * eta) / torch.sinh(eta)
    before, now = powers[:-1], powers[1:]
    # Where s has rounded to 1, sinh(eta) is 0 and so is every power's numerator: NaN, as in the public code.
    upper = (now - before) * start + now * ratio
    gain = upper / (now * start + (now * (ratio + 1) - before))
    return gain.clamp(*_GAINS)


def public_filter(
    z: Tensor, observed: Tensor, *, q: float, v: float, p0: float, rho0: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Filter by cumulative sum and product in float32, without clipping; differentiable by autograd.

    Args:
        z: Log ratios, (B, T), zero where not observed.
        observed: True on observed tokens, (B, T).
        q: Process noise variance Q.
        v: Measurement noise variance V.
        p0: Variance of rho before the first token.
        rho0: rho before the first token.

    Returns:
        rho, z_t - rho_{t-1} and the gains, (B, T) in z's type; NaN and infinities as they come out.
    """
    table = public_gain_table(q=q, v=v, p0=p0, length=z.shape[1], device=z.device)
    seen = observed.cumsum(1) * observed
    gain = torch.nn.functional.pad(table, (1, 0))[seen]
    log_product = torch.cumsum(torch.log(1 - gain), 1).clamp(min=_LOG_SMALLEST_PRODUCT)
    rho = torch.exp(log_product) * (rho0 + torch.cumsum(z.float() * (gain * torch.exp(-log_product)), 1))
    before = torch.nn.functional.pad(rho.detach(), (1, 0), value=rho0)[:, :-1]
    return rho.to(z.dtype), (z.detach() - before).to(z.dtype), gain.to(z.dtype)
