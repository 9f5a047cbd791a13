"""KRPO's Kalman reward baseline as verl calls it."""

from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

from iskpo.reward_baseline import kalman_advantages
from iskpo.verl.names import KRPO


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
    advantages = torch.from_numpy(kalman_advantages(rewards=rewards, groups=index)).to(token_level_rewards)
    spread = advantages.unsqueeze(-1) * response_mask
    return spread, spread


def register() -> None:
    """Make the estimator known to verl under `KRPO`."""
    register_adv_est(KRPO)(krpo_advantage)
