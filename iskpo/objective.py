r"""The clipped objective of KPO and IS-KPO, per token and without any trainer.

As in KPO's public code (He et al. 2026, arXiv 2602.10609): the filtered ratio is
:math:`\log \hat r_t = \log\pi - \mathrm{sg}(\log\pi) + \mathrm{sg}(\rho_t)`, clamped at +10 and exponentiated, so that
:math:`\nabla \hat r_t = \hat r_t \nabla \log\pi_t`, and the loss is

.. math:: \max(-A \hat r_t, -A\, \mathrm{clip}(\hat r_t, 1 - \epsilon_-, 1 + \epsilon_+)).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from iskpo.estimators import Estimator
from iskpo.filter import FilterResult, Gradient, Numerics, filter_log_ratios

_MAX_LOG_RATIO = 10.0


@dataclass(frozen=True)
class ObjectiveResult:
    """Loss of each token and what it was made of, all (B, T).

    Attributes:
        token_loss: Not yet aggregated; 0 outside the mask.
        ratio: Filtered importance ratio, detached; 1 outside the mask.
        filtered: The filter's result.
    """

    token_loss: Tensor
    ratio: Tensor
    filtered: FilterResult


def kalman_clipped_objective(
    *,
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantages: Tensor,
    mask: Tensor,
    q: float,
    v: float,
    kappa: float = math.inf,
    p0: float = 0.0,
    rho0: float = 0.0,
    eps_low: float = 0.0003,
    eps_high: float = 0.0004,
    gradient: Gradient = "straight_through",
    numerics: Numerics = "exact",
    estimator: Estimator = "clip",
    clip: bool = True,
) -> ObjectiveResult:
    """Loss to be minimised, one value a token.

    Nothing outside the mask matters, not even NaN: the loss and its gradient are zero there.

    Args:
        log_prob: Log-probabilities under the policy being updated, (B, T).
        old_log_prob: Log-probabilities under the policy that generated the tokens, (B, T).
        advantages: Advantages A, (B, T).
        mask: Nonzero on response tokens, (B, T).
        q: Process noise variance Q >= 0.
        v: Measurement noise variance V > 0.
        kappa: Innovations are clipped at kappa sigma; infinity for KPO.
        p0: Variance of rho before the first token.
        rho0: rho before the first token.
        eps_low: The ratio is clipped at 1 - eps_low; 0 to 1.
        eps_high: The ratio is clipped at 1 + eps_high; >= 0.
        gradient: ``straight_through`` as above; ``through``: the ratio is exp(rho), differentiated through the filter.
        numerics: See `iskpo.filter.filter_log_ratios`.
        estimator: What limits outliers of the log ratios, likewise.
        clip: False for the unclipped objective -A r.

    Returns:
        The token losses, the ratios and the filter's result.

    Raises:
        NonFiniteLogRatioError: log_prob - old_log_prob is NaN or infinite on an observed token.
        ValueError: A parameter outside its range.
    """
    if not 0 <= eps_low <= 1:
        raise ValueError(f"eps_low must lie between 0 and 1, got {eps_low}")
    if not 0 <= eps_high < math.inf:
        raise ValueError(f"eps_high must be finite and >= 0, got {eps_high}")
    observed = mask.bool()
    log_prob, old_log_prob, advantages = (
        torch.where(observed, x, 0) for x in (log_prob, old_log_prob.detach(), advantages)
    )
    filtered = filter_log_ratios(
        log_prob - old_log_prob,
        observed,
        q=q,
        v=v,
        kappa=kappa,
        p0=p0,
        rho0=rho0,
        gradient=gradient,
        numerics=numerics,
        estimator=estimator,
    )
    log_ratio = filtered.rho
    if gradient == "straight_through":
        log_ratio = log_prob - log_prob.detach() + log_ratio
    ratio = log_ratio.clamp(max=_MAX_LOG_RATIO).exp()
    token_loss = -advantages * ratio
    if clip:
        token_loss = torch.maximum(token_loss, -advantages * ratio.clamp(1 - eps_low, 1 + eps_high))
    return ObjectiveResult(token_loss=torch.where(observed, token_loss, 0), ratio=ratio.detach(), filtered=filtered)
