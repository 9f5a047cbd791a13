"""The filter that everything else calls: torch tensors on any device, masks of any shape, exact to rounding.

The device decides what runs the recurrence: plain numba loops on a CPU, Triton on a GPU, a torch loop on anything else.
All are held to `iskpo.reference.reference_filter`. What is flagged as clipped is the innovation that is returned, in
its own precision.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor

from iskpo.closed_form import gain_table, sigma_table
from iskpo.kernels.torch_loop import Filtered
from iskpo.kernels.uncertain_noise import uncertain_filter
from iskpo.published.public_numerics import public_filter
from iskpo.robust import run_robust_filter
from iskpo.settings import BATCH, Estimator, FilterSettings, Gradient, Numerics


class NonFiniteTokenError(ValueError):
    """What stands at an observed token is NaN or infinite; `row` and `token` say which is the first."""

    quantity: ClassVar[str]

    def __init__(self, *, row: int, token: int, value: float, count: int) -> None:
        """Keep the position beside the message."""
        super().__init__(
            f"{self.quantity} must be finite on observed tokens, got {value} at row {row}, token {token} "
            f"({count} such tokens in all)"
        )
        self.row, self.token = row, token


class NonFiniteLogRatioError(NonFiniteTokenError):
    """An observed log ratio is NaN or infinite."""

    quantity = "z"


@dataclass(frozen=True)
class FilterResult:
    """Filtered log ratios and what led to them, all (B, T); outside the mask zero or False.

    Attributes:
        rho: Filtered log ratios; carries a gradient to z in the mode ``through``.
        clipped: Whether |innovation| > kappa sigma.
        settings: The filter's.
        find_innovation: Makes the tensor of innovations; on a GPU from z, which must be as it was. Not always wanted.
        gain_and_sigma: Makes the tensors of gain and sigma, which follow from the mask; likewise.
        data_threshold: The threshold of each token where the sequence's innovations set it (`iskpo.robust`), infinite
            where there is none yet; None for the other estimators.
    """

    rho: Tensor
    clipped: Tensor
    settings: FilterSettings
    find_innovation: Callable[[], Tensor]
    gain_and_sigma: Callable[[], tuple[Tensor, ...]]
    data_threshold: Tensor | None = None

    @cached_property
    def innovation(self) -> Tensor:
        """z_t - rho_{t-1} before clipping."""
        return self.find_innovation()

    @cached_property
    def _both(self) -> tuple[Tensor, ...]:
        return self.gain_and_sigma()

    @property
    def gain(self) -> Tensor:
        """Kalman gain K_t."""
        return self._both[0]

    @property
    def sigma(self) -> Tensor:
        """Predicted standard deviation of the innovation, sqrt(P_{t|t-1} + V)."""
        return self._both[1]


def filter_log_ratios(
    z: Tensor,
    mask: Tensor,
    *,
    q: float,
    v: float,
    kappa: float = FilterSettings.kappa,
    p0: float = FilterSettings.p0,
    rho0: float = FilterSettings.rho0,
    gradient: Gradient = FilterSettings.gradient,
    numerics: Numerics = FilterSettings.numerics,
    estimator: Estimator = FilterSettings.estimator,
    state_kappa: float = FilterSettings.state_kappa,
    old_log_prob: Tensor | None = None,
) -> FilterResult:
    r"""Innovation-saturated Kalman filter of log ratios along each row; KPO's filter for kappa = infinity.

    .. math:: \rho_t = \rho_{t-1} + K_t \mathrm{clip}(z_t - \rho_{t-1}, \pm\kappa\sigma_t)

    over observed tokens only: the others carry the state and do not advance the gain, so holes and padding on either
    side are alike. Agrees with `iskpo.reference.reference_filter.reference_filter` to the rounding of z's type.

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
        numerics: ``exact``, or ``public-cumsum-fp32``, the published float32 formula
            (`iskpo.published.public_numerics`), which cannot clip and returns the NaN and infinities it runs into.
        estimator: What limits outliers: ``clip`` as above, or an alternative of `iskpo.robust`, with kappa as its
            threshold; the formulas there say what gain, sigma and clipped then are.
        state_kappa: Second threshold of the estimator ``two_step``.
        old_log_prob: log pi_old, (B, T), of which the estimator ``uncertainty`` makes each token's noise.

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
    settings = FilterSettings(
        q=q,
        v=v,
        kappa=kappa,
        p0=p0,
        rho0=rho0,
        gradient=gradient,
        numerics=numerics,
        estimator=estimator,
        state_kappa=state_kappa,
    )
    return filter_with(settings, z, mask, old_log_prob)


def filter_with(settings: FilterSettings, z: Tensor, mask: Tensor, old_log_prob: Tensor | None = None) -> FilterResult:
    """`filter_log_ratios` with settings that are checked already."""
    settings.refuse_contradictions()
    if settings.estimator in BATCH:
        raise ValueError(f"estimator {settings.estimator} clips by the step before: see iskpo.batch_threshold")
    observed = _checked_mask(z, mask)
    if settings.gradient == "straight_through":
        z = z.detach()
    if settings.estimator != "clip" or settings.numerics != "exact":
        # Before any arithmetic: a NaN in padding times a zero gradient would still be NaN.
        z = torch.where(observed, z, 0)
        check_finite(z, NonFiniteLogRatioError)
    if settings.estimator == "uncertainty":
        if old_log_prob is None:
            raise ValueError("estimator uncertainty needs old_log_prob, the old policy's log-probabilities")
        rho, innovation, gain, sigma, clipped = uncertain_filter(settings, z, observed, old_log_prob)
        rho, others = rho.to(z.dtype), [x.detach().to(z.dtype) for x in (innovation, gain, sigma)]
        return FilterResult(rho, clipped, settings, lambda: others[0], lambda: (others[1], others[2]))
    if settings.estimator != "clip":
        robust = run_robust_filter(settings, z, observed)
        return FilterResult(
            robust.rho,
            robust.clipped,
            settings,
            lambda: robust.innovation,
            lambda: (robust.gain, robust.sigma),
            robust.threshold,
        )
    q, v, p0, rho0 = settings.q, settings.v, settings.p0, settings.rho0
    gain, sigma, threshold = _tables(q, v, p0, settings.kappa, z.shape[1], z.device)
    if settings.numerics == "public-cumsum-fp32":
        rho, innovation, public_gain = public_filter(z, observed, q=q, v=v, p0=p0, rho0=rho0)
        return FilterResult(
            rho=torch.where(observed, rho, 0),
            clipped=torch.zeros_like(observed),
            settings=settings,
            find_innovation=lambda: torch.where(observed, innovation, 0).detach(),
            gain_and_sigma=lambda: (public_gain.to(z.dtype), _spread(observed, (sigma,), z.dtype)[0]),
        )
    rho, found = _ExactFilter.apply(z, observed, gain, threshold, rho0)  # type: ignore[no-untyped-call]
    if not found.finite():
        # Nothing but z can have done that; and it is quicker to look at the outcome than at z and mask before.
        check_finite(torch.where(observed, z, 0), NonFiniteLogRatioError)
    return FilterResult(
        rho, found.clipped, settings, found.innovation, lambda: _spread(observed, (gain, sigma), z.dtype)
    )


class _ExactFilter(torch.autograd.Function):
    """The recurrence and its gradient by hand: d rho_t / d rho_{t-1} = 1 - K_t, or 1 where the token is clipped."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, observed: Tensor, gain: Tensor, threshold: Tensor | None, rho0: float
    ) -> tuple[Tensor, Filtered]:
        found = _backend(z.device).clipping_filter(z, observed, gain=gain, threshold=threshold, rho0=rho0)
        ctx.save_for_backward(observed, found.clipped, gain, found.counts)
        return found.rho, found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_rho: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        observed, clipped, gain, counts = ctx.saved_tensors
        backend = _backend(grad_rho.device)
        return backend.filter_adjoint(grad_rho, observed, clipped, gain=gain, counts=counts), None, None, None, None


def _backend(device: torch.device) -> ModuleType:
    """What runs the recurrences on a device: compiled code where there is some for it, torch elsewhere."""
    compiled = {"cpu": ("numba", "iskpo.kernels.cpu"), "cuda": ("triton", "iskpo.kernels.triton_scan")}
    needs, module = compiled.get(device.type, ("torch", "iskpo.kernels.torch_loop"))
    return import_module(module if find_spec(needs) is not None else "iskpo.kernels.torch_loop")


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


def check_finite(values: Tensor, error: type[NonFiniteTokenError]) -> None:
    """Raise an error that names the first value of (B, T) that is NaN or infinite, if there is one."""
    bad = ~values.isfinite()
    if bool(bad.any()):
        row, token = bad.nonzero()[0].tolist()
        raise error(row=row, token=token, value=float(values[row, token].detach()), count=int(bad.sum()))


def _spread(observed: Tensor, tables: tuple[Tensor, ...], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Entries of each table for every token, (B, T), by the number of tokens observed so far; 0 where not observed."""
    stacked = torch.stack(tables).to(dtype)
    backend = _backend(observed.device)
    if hasattr(backend, "spread_tables"):
        return tuple(backend.spread_tables(observed, tables=stacked))
    return tuple(stacked[:, observed.cumsum(1).mul_(observed)])


@lru_cache(maxsize=32)
def _tables(
    q: float, v: float, p0: float, kappa: float, length: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gain, sigma and threshold by the number of observed tokens, (length + 1,) float64; entry 0: not observed."""
    gain = torch.from_numpy(gain_table(q=q, v=v, p0=p0, length=length))
    sigma = torch.from_numpy(sigma_table(q=q, v=v, p0=p0, length=length))
    gain, sigma = (torch.nn.functional.pad(table, (1, 0)).to(device) for table in (gain, sigma))
    return gain, sigma, None if math.isinf(kappa) else kappa * sigma
