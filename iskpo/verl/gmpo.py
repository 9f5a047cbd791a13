r"""GMPO's loss, averaged over the mini-batch however that is cut into micro-batches.

verl 0.9.1's own ``geo_mean`` takes `torch.mean` over a micro-batch, where all its other losses divide by the
mini-batch. So its loss is too large by the number of micro-batches: 32 times with the profile qwen3-4b, 64 with the
smaller ones. The objective is that of Zhao et al. 2025 (arXiv 2507.20673), of a sequence with advantage A of sign s:

.. math:: -A \exp\Big(\frac1T \sum_t s \min(s z_t, s\,\mathrm{clip}(z_t, -\epsilon_-, \epsilon_+))\Big).
"""

from typing import Any

import torch
from verl.trainer.ppo.core_algos import agg_loss, register_policy_loss

from iskpo.verl.names import GMPO


@register_policy_loss(GMPO)
def gmpo_loss(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "seq-mean-token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """The loss, as verl calls it; arguments as of `iskpo.verl.loss.kalman_policy_loss`, advantages one a sequence.

    Args:
        old_log_prob: (B, T).
        log_prob: (B, T).
        advantages: (B, T), the same on all tokens of a sequence.
        response_mask: (B, T).
        loss_agg_mode: A mean over sequences; their tokens all have the sequence's loss.
        config: verl's actor configuration.
        rollout_is_weights: (B, T); a sequence's weight is their geometric mean, as in verl.

    Returns:
        The loss, and no metrics: verl would average them over micro-batches.
    """
    mask = response_mask.bool()
    tokens = mask.sum(-1).clamp(min=1)
    z = torch.where(mask, log_prob - old_log_prob, 0)
    sign = torch.where(mask, advantages, 0).sign()
    kept = sign * torch.minimum(sign * z, sign * z.clamp(-config.clip_ratio_low, config.clip_ratio_high))
    advantage = torch.where(mask, advantages, 0).sum(-1) / tokens
    loss = -advantage * (kept.sum(-1) / tokens).exp()
    if rollout_is_weights is not None:
        logs = torch.where(mask, rollout_is_weights.detach().clamp(min=1e-10).log(), 0)
        loss = loss * (logs.sum(-1) / tokens).exp()
    spread = loss.unsqueeze(-1).expand_as(z)
    return agg_loss(spread, response_mask, loss_agg_mode, **config.global_batch_info), {}
