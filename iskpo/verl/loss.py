"""The (IS-)KPO policy loss and KRPO's reward baseline, as verl calls them."""

import math
from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import agg_loss, register_adv_est, register_policy_loss

from iskpo.batch_threshold import settings_after
from iskpo.filter import NonFiniteTokenError, check_finite
from iskpo.innovation_histogram import InnovationHistogram
from iskpo.innovation_moments import moments_by_class
from iskpo.innovations import InnovationSummary
from iskpo.objective import kalman_clipped_objective
from iskpo.outside import bounds_scale, count_outside
from iskpo.reward_baseline import kalman_advantages
from iskpo.verl import recorder, tracing
from iskpo.verl.config import KalmanPolicyLossConfig
from iskpo.verl.names import KRPO, LOSS_MODE


class NonFiniteWeightError(NonFiniteTokenError):
    """The rollout correction's weight of an observed token is NaN or infinite."""

    quantity = "rollout_is_weights"


@register_policy_loss(LOSS_MODE)
def kalman_policy_loss(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "seq-mean-token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Clipped objective over the Kalman-filtered importance ratio (`iskpo.objective`), aggregated by verl.

    Args:
        old_log_prob: Log-probabilities under the policy that generated the batch, (B, T).
        log_prob: Log-probabilities under the policy being updated, (B, T).
        advantages: Advantages, (B, T).
        response_mask: True on response tokens, (B, T).
        loss_agg_mode: verl's name of the aggregation.
        config: verl's actor configuration, whose `policy_loss` is a `KalmanPolicyLossConfig`.
        rollout_is_weights: verl's correction for a rollout policy that differs from the old one, (B, T).

    Returns:
        The loss and no metrics: these go through `iskpo.verl.recorder`, exactly.

    Raises:
        NonFiniteTokenError: A log ratio, an advantage or a weight is NaN or infinite on a response token.
    """
    configuration: KalmanPolicyLossConfig = config.policy_loss
    before = recorder.step_before()
    planned_settings = configuration.settings
    settings = settings_after(planned_settings, before.innovations if before else None)
    planned = (float(config.clip_ratio_low), float(config.clip_ratio_high))
    # No other arm has a bound of 0.
    clip = planned != (0.0, 0.0)
    scale = bounds_scale(configuration.outside_share, before.excess if before else None)
    # Below 0 no ratio lies.
    eps_low, eps_high = min(scale * planned[0], 1.0), scale * planned[1]
    result = kalman_clipped_objective(
        log_prob=log_prob,
        old_log_prob=old_log_prob,
        advantages=advantages,
        mask=response_mask,
        settings=settings,
        eps_low=eps_low,
        eps_high=eps_high,
        clip=clip,
    )
    token_loss, mask = result.token_loss, response_mask.bool()
    weights = torch.zeros(1, 1) if rollout_is_weights is None else torch.where(mask, rollout_is_weights.detach(), 0)
    if rollout_is_weights is not None:
        token_loss = token_loss * weights
    loss = agg_loss(
        loss_mat=token_loss, loss_mask=response_mask, loss_agg_mode=loss_agg_mode, **config.global_batch_info
    )
    with torch.no_grad():
        # The same subtraction of the same numbers as in the objective: what the filter was given, to the last bit.
        z = log_prob - old_log_prob
        tracing.offer(z, old_log_prob, mask)
        log_ratio_sum = torch.where(mask, z, 0).sum(dtype=torch.float64)
        # Fetched together: every number fetched waits for the device.
        # The weights' zeroes add up to NaN if one of them is not finite.
        sums = [result.ratio_clipped.sum().double(), log_ratio_sum, (weights * 0).sum().to(log_ratio_sum)]
        ratio_clipped, log_ratio_sum, spoilt = torch.stack(sums).tolist()
        if spoilt != 0:
            check_finite(weights, NonFiniteWeightError)
        outside, excess = (
            count_outside(result.filtered.rho, mask, planned=planned, used=(eps_low, eps_high))
            if clip
            else (0, InnovationHistogram())
        )
        bounds = (eps_low, eps_high) if clip else (0.0, 0.0)
        innovations = InnovationSummary.from_filter(result.filtered, mask)
        recorder.record(
            recorder.StepRecord(
                innovations=innovations,
                by_update={tracing.current_update(): moments_by_class(result.filtered, mask, old_log_prob)},
                ratio_clipped=ratio_clipped,
                log_ratio_sum=log_ratio_sum,
                tokens=innovations.tokens,
                settings={planned_settings if settings is not planned_settings else result.filtered.settings},
                used={(math.inf if settings is planned_settings else settings.kappa, *bounds)},
                outside=outside,
                excess=excess,
            )
        )
    return loss, {}


@register_adv_est(KRPO)
def krpo_advantage(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: np.ndarray[Any, Any],
    config: Any = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages of outcome rewards against a Kalman-filtered baseline (`iskpo.reward_baseline`).

    The samples of a prompt are filtered in the order of their rows. The project's trainer makes that of their numbers;
    with several data-parallel ranks verl then puts rows of like length together, rank by rank.

    Args:
        token_level_rewards: Rewards of tokens, of which a response's sum counts, (B, T).
        response_mask: True on response tokens, (B, T).
        index: Which prompt each row answers, (B,).
        config: verl's configuration of the algorithm; not used.

    Returns:
        The advantages, the same on every token of a response and 0 elsewhere, (B, T); and once more as returns.
    """
    rewards = token_level_rewards.sum(dim=-1).double().cpu().numpy()
    # A response that was rejected keeps no token to train on; neither may its reward move the others' baseline.
    counted = response_mask.bool().any(dim=-1).cpu().numpy()
    found = kalman_advantages(rewards=rewards, groups=index, counted=counted)
    advantages = torch.from_numpy(found).to(token_level_rewards)
    spread = advantages.unsqueeze(-1) * response_mask
    return spread, spread
