r"""The clipped objective of KPO and IS-KPO, per token and without any trainer.

As in KPO's public code (He et al. 2026, arXiv 2602.10609): the filtered ratio is
:math:`\log \hat r_t = \log\pi - \mathrm{sg}(\log\pi) + \mathrm{sg}(\rho_t)`, clamped at +10 and exponentiated, so that
:math:`\nabla \hat r_t = \hat r_t \nabla \log\pi_t`, and the loss is

.. math:: \max(-A \hat r_t, -A\, \mathrm{clip}(\hat r_t, 1 - \epsilon_-, 1 + \epsilon_+)).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from iskpo.filter import FilterResult, NonFiniteTokenError, check_finite, filter_with
from iskpo.settings import FilterSettings

_MAX_LOG_RATIO = 10.0


class NonFiniteAdvantageError(NonFiniteTokenError):
    """The advantage of an observed token is NaN or infinite."""

    quantity = "advantages"


@dataclass(frozen=True)
class ObjectiveResult:
    """Loss of each token and what it was made of, all (B, T).

    Attributes:
        token_loss: Not yet aggregated; 0 outside the mask.
        ratio: Filtered importance ratio, detached; 1 outside the mask.
        ratio_clipped: Whether the clipped branch of the objective was taken.
        filtered: The filter's result.
    """

    token_loss: Tensor
    ratio: Tensor
    ratio_clipped: Tensor
    filtered: FilterResult


def kalman_clipped_objective(
    *,
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantages: Tensor,
    mask: Tensor,
    settings: FilterSettings,
    eps_low: float = 0.0003,
    eps_high: float = 0.0004,
    clip: bool = True,
) -> ObjectiveResult:
    """Loss to be minimised, one value a token.

    Nothing outside the mask matters, not even NaN: the loss and its gradient are zero there.

    Args:
        log_prob: Log-probabilities under the policy being updated, (B, T).
        old_log_prob: Log-probabilities under the policy that generated the tokens, (B, T).
        advantages: Advantages A, (B, T).
        mask: Nonzero on response tokens, (B, T).
        settings: The filter's. Its gradient is ``straight_through`` as above, or ``through``: the ratio is exp(rho),
            differentiated through the filter.
        eps_low: The ratio is clipped at 1 - eps_low; 0 to 1.
        eps_high: The ratio is clipped at 1 + eps_high; >= 0.
        clip: False for the unclipped objective -A r.

    Returns:
        The token losses, the ratios and the filter's result.

    Raises:
        NonFiniteLogRatioError: log_prob - old_log_prob is NaN or infinite on an observed token.
        NonFiniteAdvantageError: So is an advantage.
        ValueError: A bound outside its range, or settings that contradict each other.
    """
    if not 0 <= eps_low <= 1:
        raise ValueError(f"eps_low must lie between 0 and 1, got {eps_low}")
    if not 0 <= eps_high < math.inf:
        raise ValueError(f"eps_high must be finite and >= 0, got {eps_high}")
    observed = mask.bool()
    straight_through = settings.gradient == "straight_through"
    old_log_prob = old_log_prob.detach()
    if straight_through:
        z = log_prob.detach() - old_log_prob
    else:
        z = torch.where(observed, log_prob, 0) - torch.where(observed, old_log_prob, 0)
    # Zero if all are finite, else NaN. It is on its way from a GPU while the filter runs, which waits for that GPU.
    spoilt = (torch.where(observed, advantages.detach(), 0) * 0).sum().to("cpu", non_blocking=z.is_cuda)
    filtered = filter_with(settings, z, observed, old_log_prob)
    if spoilt != 0:
        check_finite(torch.where(observed, advantages, 0), NonFiniteAdvantageError)
    if straight_through:
        token_loss, ratio, clipped = _StraightThrough.apply(  # type: ignore[no-untyped-call]
            log_prob, filtered.rho, advantages, observed, (1 - eps_low, 1 + eps_high) if clip else None
        )
    else:
        advantages = torch.where(observed, advantages, 0)
        ratio = filtered.rho.clamp(max=_MAX_LOG_RATIO).exp()
        token_loss, clipped = -advantages * ratio, torch.zeros_like(observed)
        if clip:
            bounded = -advantages * ratio.clamp(1 - eps_low, 1 + eps_high)
            clipped = observed & (bounded > token_loss)
            token_loss = torch.maximum(token_loss, bounded)
        token_loss = torch.where(observed, token_loss, 0)
    return ObjectiveResult(token_loss=token_loss, ratio=ratio.detach(), ratio_clipped=clipped, filtered=filtered)


class _StraightThrough(torch.autograd.Function):
    """The objective and its gradient in one go: grad r = r grad log pi, and none where r is clipped or clamped."""

    @staticmethod
    def forward(
        ctx: Any,
        log_prob: Tensor,
        rho: Tensor,
        advantages: Tensor,
        observed: Tensor,
        bounds: tuple[float, float] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ratio = rho.clamp(max=_MAX_LOG_RATIO).exp_()
        # Also what the loss has for a gradient where it is not flat.
        unclipped = torch.where(observed, -advantages * ratio, 0)
        flat, loss, clipped = rho > _MAX_LOG_RATIO, unclipped, torch.zeros_like(observed)
        if bounds is not None:
            bounded = torch.where(observed, -advantages * ratio.clamp(*bounds), 0)
            clipped = bounded > unclipped
            flat |= clipped
            loss = torch.maximum(unclipped, bounded)
        ctx.save_for_backward(unclipped.masked_fill(flat, 0))
        ctx.mark_non_differentiable(ratio, clipped)
        return loss, ratio, clipped

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return grad_loss * slope, None, None, None, None
