"""Typed configuration of the loss, in the form that verl's strict configuration accepts.

verl builds this class when ``actor_rollout_ref.actor.policy_loss._target_`` names it.
"""

from dataclasses import dataclass

from verl.workers.config import PolicyLossConfig

from iskpo.settings import FILTER_KEYS, Estimator, FilterSettings, Gradient, Numerics
from iskpo.verl.names import LOSS_MODE


@dataclass
class KalmanPolicyLossConfig(PolicyLossConfig):
    """`iskpo.settings.FilterSettings` as keys of verl's; the ratio bounds stay verl's `clip_ratio_low` and `_high`.

    Raises:
        ValueError: A value outside its range, or values that contradict each other; nothing has started by then.
    """

    loss_mode: str = LOSS_MODE
    # A neighbour's loss is configured by this class too, and says nothing of q and v.
    q: float = 1e-6
    v: float = 1.0
    kappa: float = FilterSettings.kappa
    p0: float = FilterSettings.p0
    rho0: float = FilterSettings.rho0
    gradient: Gradient = FilterSettings.gradient
    numerics: Numerics = FilterSettings.numerics
    estimator: Estimator = FilterSettings.estimator
    state_kappa: float = FilterSettings.state_kappa
    # Share of tokens that the bounds on the ratio shall leave outside; 0 for bounds that stay as they are.
    outside_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what the filter would refuse, before any worker is started."""
        try:
            self.settings.refuse_contradictions()
        except ValueError as error:
            raise ValueError(f"policy_loss.{error}") from None

    @property
    def settings(self) -> FilterSettings:
        """The filter's."""
        return FilterSettings(**{name: getattr(self, name) for name in FILTER_KEYS})
