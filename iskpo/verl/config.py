"""Typed configuration of the loss, in the form that verl's strict configuration accepts.

verl builds this class when ``actor_rollout_ref.actor.policy_loss._target_`` names it.
"""

import math
from dataclasses import dataclass
from typing import get_args

from verl.workers.config import PolicyLossConfig

from iskpo.estimators import Estimator
from iskpo.filter import Gradient, Numerics
from iskpo.verl.names import LOSS_MODE


@dataclass
class KalmanPolicyLossConfig(PolicyLossConfig):
    """Parameters of the Kalman-filtered policy loss; the ratio bounds stay verl's `clip_ratio_low` and `_high`.

    Args:
        q: Process noise variance Q, in squared log-ratio units; >= 0.
        v: Measurement noise variance V, in squared log-ratio units; > 0.
        kappa: Innovations are clipped at kappa standard deviations; infinity for KPO without clipping.
        p0: Posterior variance before the first token.
        rho0: Filtered log ratio before the first token.
        gradient: ``straight_through`` as in KPO's public code, or ``through`` the filter.
        numerics: ``exact``, or ``public-cumsum-fp32``, the published float32 formula.
        estimator: What limits outliers: ``clip``, or an alternative of `iskpo.robust`.

    Raises:
        ValueError: A value outside its range; nothing has started by then.
    """

    loss_mode: str = LOSS_MODE
    q: float = 1e-6
    v: float = 1.0
    kappa: float = math.inf
    p0: float = 0.0
    rho0: float = 0.0
    gradient: Gradient = "straight_through"
    numerics: Numerics = "exact"
    estimator: Estimator = "clip"

    def __post_init__(self) -> None:
        """Refuse what the filter would refuse, before any worker is started."""
        if not (math.isfinite(self.q) and self.q >= 0):
            raise ValueError(f"policy_loss.q must be finite and >= 0, got {self.q}")
        if not (math.isfinite(self.v) and self.v > 0):
            raise ValueError(f"policy_loss.v must be finite and > 0, got {self.v}")
        if not self.kappa > 0:
            raise ValueError(f"policy_loss.kappa must be > 0 (.inf for no clipping), got {self.kappa}")
        if not (math.isfinite(self.p0) and self.p0 >= 0):
            raise ValueError(f"policy_loss.p0 must be finite and >= 0, got {self.p0}")
        if not math.isfinite(self.rho0):
            raise ValueError(f"policy_loss.rho0 must be finite, got {self.rho0}")
        if self.gradient not in get_args(Gradient):
            raise ValueError(f"policy_loss.gradient must be one of {get_args(Gradient)}, got {self.gradient!r}")
        if self.numerics not in get_args(Numerics):
            raise ValueError(f"policy_loss.numerics must be one of {get_args(Numerics)}, got {self.numerics!r}")
        if self.estimator not in get_args(Estimator):
            raise ValueError(f"policy_loss.estimator must be one of {get_args(Estimator)}, got {self.estimator!r}")
