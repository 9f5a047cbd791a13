"""The names of what can limit outliers, without torch; formulas and sources are in `iskpo.robust`."""

import math
from typing import Literal

Estimator = Literal["clip", "saturated", "huber", "wolf", "inflation", "ema"]
RobustEstimator = Literal["saturated", "huber", "wolf", "inflation", "ema"]


def constant_threshold(*, estimator: Estimator, v: float, kappa: float) -> float | None:
    """kappa sqrt(V) for the estimators whose threshold that is; None for those with the threshold kappa sigma_t."""
    return kappa * math.sqrt(v) if estimator in ("saturated", "wolf") else None


def gain_depends_on_data(*, estimator: Estimator) -> bool:
    """Whether outliers change the gain, so that no closed form predicts the realised one."""
    return estimator in ("huber", "wolf", "inflation")
