"""The filter that everything else calls: torch tensors on any device, masks of any shape, exact to rounding."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from iskpo._parameters import check_filter
from iskpo.closed_form import gain_table, sigma_table
from iskpo.estimators import Estimator
from iskpo.public_numerics import public_filter
from iskpo.robust import robust_filter
from iskpo.scan import reverse_scan, saturated_scan

Gradient = Literal["straight_through", "through"]
Numerics = Literal["exact", "public-cumsum-fp32"]


class NonFiniteLogRatioError(ValueError):
    """An observed log ratio is NaN or infinite; `row` and `token` say which is the first."""

    def __init__(self, *, row: int, token: int, value: float, count: int) -> None:
        """Keep the position beside the message."""
        super().__init__(
            f"z must be finite on observed tokens, got {value} at row {row}, token {token} ({count} such tokens in all)"
        )
        self.row, self.token = row, token


@dataclass(frozen=True)
class FilterResult:
    """Filtered log ratios and what led to them, all (B, T); outside the mask zero or False.

    Attributes:
        rho: Filtered log ratios; carries a gradient to z in the mode ``through``.
        innovation: z_t - rho_{t-1} before clipping.
        gain: Kalman gain K_t.
        sigma: Predicted standard deviation of the innovation, sqrt(P_{t|t-1} + V).
        clipped: Whether |innovation| > kappa sigma.
    """

    rho: Tensor
    innovation: Tensor
    gain: Tensor
    sigma: Tensor
    clipped: Tensor


def filter_log_ratios(
    z: Tensor,
    mask: Tensor,
    *,
    q: float,
    v: float,
    kappa: float = math.inf,
    p0: float = 0.0,
    rho0: float = 0.0,
    gradient: Gradient = "straight_through",
    numerics: Numerics = "exact",
    estimator: Estimator = "clip",
) -> FilterResult:
    r"""Innovation-saturated Kalman filter of log ratios along each row; KPO's filter for kappa = infinity.

    .. math:: \rho_t = \rho_{t-1} + K_t \mathrm{clip}(z_t - \rho_{t-1}, \pm\kappa\sigma_t)

    over observed tokens only: the others carry the state and do not advance the gain, so holes and padding on either
    side are alike. Agrees with `iskpo.reference.reference_filter` to the rounding of z's type.

    Args:
        z: Log ratios log pi - log pi_old, (B, T), float32 or float64, on any device that has float64.
        mask: Nonzero on observed tokens, (B, T).
        q: Process noise variance Q >= 0, in squared log-ratio units.
        v: Measurement noise variance V > 0.
        kappa: Innovations are clipped at kappa sigma; > 0, infinity for no clipping.
        p0: Variance of rho before the first token, >= 0.
        rho0: rho before the first token.
        gradient: ``straight_through``, as in KPO's code: rho has no gradient, the objective puts one in its place.
            ``through``: rho carries the exact gradient of the recurrence (once differentiable).
        numerics: ``exact``, or ``public-cumsum-fp32``, the published float32 formula (`iskpo.public_numerics`), which
            cannot clip and returns the NaN and infinities it runs into.
        estimator: What limits outliers: ``clip`` as above, or an alternative of `iskpo.robust`, with kappa as its
            threshold; the formulas there say what gain, sigma and clipped then are.

    Returns:
        The filtered log ratios, the innovations, and the gain and sigma of each token.

    Raises:
        NonFiniteLogRatioError: An observed z is NaN or infinite.
        ValueError: Shapes, types or parameters outside what is described above.

    Example:
        >>> z, mask = torch.tensor([[0.4, 0.2]]), torch.ones(1, 2)
        >>> filter_log_ratios(z, mask, q=1.0, v=1.0).rho
        tensor([[0.2000, 0.2000]])
    """
    check_filter(q=q, v=v, kappa=kappa, p0=p0, rho0=rho0)
    for name, value, allowed in (
        ("gradient", gradient, Gradient),
        ("numerics", numerics, Numerics),
        ("estimator", estimator, Estimator),
    ):
        if value not in get_args(allowed):
            raise ValueError(f"{name} must be one of {get_args(allowed)}, got {value!r}")
    if numerics != "exact" and estimator != "clip":
        raise ValueError(
            f"estimator must be 'clip' with numerics {numerics!r}, which knows no other, got {estimator!r}"
        )
    observed = _checked_mask(z, mask)
    if gradient == "straight_through":
        z = z.detach()
    # Before any arithmetic: a NaN in padding times a zero gradient would still be NaN.
    z = torch.where(observed, z, 0)
    _check_finite(z)
    if estimator != "clip":
        found = robust_filter(z, observed, estimator=estimator, q=q, v=v, kappa=kappa, p0=p0, rho0=rho0)
        return FilterResult(
            rho=found.rho, innovation=found.innovation, gain=found.gain, sigma=found.sigma, clipped=found.clipped
        )

    gain, sigma = _token_tables(observed, q, v, p0)
    if numerics == "public-cumsum-fp32":
        rho, innovation, gain = public_filter(z, observed, q=q, v=v, kappa=kappa, p0=p0, rho0=rho0)
        clipped = torch.zeros_like(observed)
    else:
        threshold = None if math.isinf(kappa) else kappa * sigma
        rho, innovation, clipped = _ExactFilter.apply(z, gain, threshold, rho0)  # type: ignore[no-untyped-call]
    return FilterResult(
        rho=torch.where(observed, rho, 0),
        innovation=torch.where(observed, innovation, 0).detach(),
        gain=gain.to(z.dtype),
        sigma=sigma.to(z.dtype),
        clipped=clipped & observed,
    )


class _ExactFilter(torch.autograd.Function):
    """The recurrence and its gradient by hand: d rho_t / d rho_{t-1} = 1 - K_t, or 1 where the token is clipped."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, gain: Tensor, threshold: Tensor | None, rho0: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        scan = saturated_scan(z, gain, threshold, rho0)
        rho, innovation = scan.rho.to(z.dtype), scan.innovation.to(z.dtype)
        ctx.save_for_backward(scan.weight)
        ctx.mark_non_differentiable(innovation, scan.clipped)
        return rho, innovation, scan.clipped

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_rho: Tensor, *_: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,) = ctx.saved_tensors
        return reverse_scan(grad_rho, weight).to(grad_rho.dtype), None, None, None


def _checked_mask(z: Tensor, mask: Tensor) -> Tensor:
    if z.dim() != 2:
        raise ValueError(f"z must have the shape (rows, tokens), got {tuple(z.shape)}")
    if z.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"z must be float32 or float64 (narrower types quantise innovations), got {z.dtype}")
    if mask.shape != z.shape or mask.device != z.device:
        raise ValueError(
            f"mask must have z's shape and device, {tuple(z.shape)} on {z.device}, "
            f"got {tuple(mask.shape)} on {mask.device}"
        )
    return mask.bool()


def _check_finite(z: Tensor) -> None:
    bad = ~z.isfinite()
    if bool(bad.any()):
        row, token = bad.nonzero()[0].tolist()
        raise NonFiniteLogRatioError(row=row, token=token, value=float(z[row, token].detach()), count=int(bad.sum()))


def _token_tables(observed: Tensor, q: float, v: float, p0: float) -> tuple[Tensor, Tensor]:
    """Gain and sigma of every token, (B, T) float64, by the number of tokens observed so far; 0 outside the mask."""
    gain, sigma = _tables(q, v, p0, observed.shape[1], observed.device)
    seen = observed.cumsum(1).mul_(observed)
    return gain[seen], sigma[seen]


@lru_cache(maxsize=32)
def _tables(q: float, v: float, p0: float, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(length + 1,) tables whose entry 0 stands for "not observed"."""
    gain = torch.from_numpy(gain_table(q=q, v=v, p0=p0, length=length))
    sigma = torch.from_numpy(sigma_table(q=q, v=v, p0=p0, length=length))
    pad = torch.nn.functional.pad
    return pad(gain, (1, 0)).to(device), pad(sigma, (1, 0)).to(device)
