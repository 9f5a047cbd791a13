"""The IS-KPO algorithm in torch and numpy: settings, closed forms, filter, objective, innovation statistics.

Imports nothing of ours but its own rooms; only `iskpo.verl` knows verl and vLLM. Public names load at first use, so
that planning a study, which needs the closed forms, does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iskpo.closed_form import (
        decouple,
        gain_table,
        realised_gain,
        sigma_table,
        steady_state_gain,
        steady_state_sigma,
        steady_state_threshold,
    )
    from iskpo.filter import FilterResult, NonFiniteLogRatioError, filter_log_ratios
    from iskpo.innovations import InnovationSummary
    from iskpo.objective import NonFiniteAdvantageError, ObjectiveResult, kalman_clipped_objective
    from iskpo.reference.reference_filter import (
        ReferenceResult,
        RobustReferenceResult,
        reference_filter,
        robust_reference_filter,
    )
    from iskpo.robust import RobustResult, robust_filter
    from iskpo.settings import Estimator, FilterSettings

_HOME = {
    "closed_form": (
        "decouple",
        "gain_table",
        "realised_gain",
        "sigma_table",
        "steady_state_gain",
        "steady_state_sigma",
        "steady_state_threshold",
    ),
    "filter": ("FilterResult", "NonFiniteLogRatioError", "filter_log_ratios"),
    "innovations": ("InnovationSummary",),
    "objective": ("NonFiniteAdvantageError", "ObjectiveResult", "kalman_clipped_objective"),
    "reference.reference_filter": (
        "ReferenceResult",
        "RobustReferenceResult",
        "reference_filter",
        "robust_reference_filter",
    ),
    "robust": ("RobustResult", "robust_filter"),
    "settings": ("Estimator", "FilterSettings"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Estimator",
    "FilterResult",
    "FilterSettings",
    "InnovationSummary",
    "NonFiniteAdvantageError",
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


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"iskpo.{_MODULE_OF[name]}"), name)
