r"""Which arms train alike with the same seed: those with the same parameters, or with a threshold that nothing reaches.

The filter clips token t where \|z_t - rho_{t-1}\| > kappa sigma_t, and sigma_t follows from Q, V, P_0 and the number of
tokens alone. So an arm in which every update's largest \|innovation\| / sigma stays below the kappa of both arms is the
other arm: neither ever clips, and each update, and with it every later sample, is the same.

What is recorded of an innovation differs from what the filter compares by rounding in float32: of z - rho to
2^-24 \|z - rho\|, of rho to 2^-24 \|rho\|, of sigma and of the threshold to 2^-24 each. \|rho\| is at most
\|rho_0\| plus the sum of all innovations of a response, since no gain is above 1, and sigma is at least sqrt(V). So

.. math:: r (1 + 3u) + u (|\rho_0| + T m) / \sqrt V <= \kappa (1 - u), \qquad u = 2^{-23},

with the recorded largest ratio r and innovation m and the longest response T, is proof (derived; u is twice the
rounding).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from iskpo.settings import FilterSettings
from sweep.arms.arm import Arm

THRESHOLD_NEVER_REACHED, SAME_PARAMETERS = "threshold never reached", "the same parameters"
# What of each training step the proof needs, as MLflow names it.
RATIO, LARGEST, LONGEST = "innovation/max_abs_over_sigma", "innovation/max_abs", "response_length/max"
_UNIT = 2.0**-23
# Of other estimators kappa is more than a threshold, or the threshold is not kappa sigma.
_ESTIMATORS = ("clip", "huber", "inflation")


def family(arm: Arm) -> tuple[Any, ...]:
    """What arms share that are the same but for a threshold, or in everything."""
    if arm.filter is None or arm.filter.estimator not in _ESTIMATORS:
        return arm.parameters
    # An estimator without a threshold is computed by the loops of `clip`, which differ from its own in the last digit.
    kappa = math.inf if arm.filter.estimator != "clip" and math.isinf(arm.filter.kappa) else 1.0
    return (replace(arm.filter, kappa=kappa), *arm.parameters[1:])


def why_same(arm: Arm, other: Arm, *, steps: Sequence[Mapping[str, float]], planned: int) -> str:
    """Why an arm is another that has been trained with the same seed, in words; "" where that is not proved.

    Args:
        arm: The arm.
        other: The one that was trained.
        steps: Its metrics of each training step, with `RATIO`, `LARGEST` and `LONGEST`.
        planned: Training steps of a trial: none may be missing.
    """
    if arm.parameters == other.parameters:
        return SAME_PARAMETERS
    if family(arm) != family(other) or arm.filter is None or other.filter is None or len(steps) != planned:
        return ""
    kappa = min(arm.filter.kappa, other.filter.kappa)
    return THRESHOLD_NEVER_REACHED if all(_below(kappa, arm.filter, step) for step in steps) else ""


def _below(kappa: float, settings: FilterSettings, step: Mapping[str, float]) -> bool:
    """Whether no token of a step reached kappa sigma, all rounding against it."""
    ratio, largest, longest = (step.get(name, math.nan) for name in (RATIO, LARGEST, LONGEST))
    rounding = _UNIT * (abs(settings.rho0) + longest * largest) / math.sqrt(settings.v)
    # NaN, where something was not recorded, is not below anything.
    return ratio * (1 + 3 * _UNIT) + rounding <= kappa * (1 - _UNIT)
