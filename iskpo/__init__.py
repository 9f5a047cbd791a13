"""The IS-KPO algorithm, with torch and numpy alone: closed forms, filter, objective, innovation statistics."""

from iskpo.closed_form import (
    decouple,
    gain_table,
    realised_gain,
    sigma_table,
    steady_state_gain,
    steady_state_sigma,
    steady_state_threshold,
)
from iskpo.estimators import Estimator
from iskpo.filter import FilterResult, NonFiniteLogRatioError, filter_log_ratios
from iskpo.innovations import InnovationSummary
from iskpo.objective import ObjectiveResult, kalman_clipped_objective
from iskpo.reference import ReferenceResult, reference_filter
from iskpo.robust import RobustResult, robust_filter
from iskpo.robust_reference import RobustReferenceResult, robust_reference_filter

__all__ = [
    "Estimator",
    "FilterResult",
    "InnovationSummary",
    "NonFiniteLogRatioError",
    "ObjectiveResult",
    "ReferenceResult",
    "RobustReferenceResult",
    "RobustResult",
    "decouple",
    "filter_log_ratios",
    "gain_table",
    "kalman_clipped_objective",
    "realised_gain",
    "reference_filter",
    "robust_filter",
    "robust_reference_filter",
    "sigma_table",
    "steady_state_gain",
    "steady_state_sigma",
    "steady_state_threshold",
]
