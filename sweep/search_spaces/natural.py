"""Gain and threshold as coordinates of an arm, converted to Q and V by the closed form."""

import math

from iskpo.closed_form import decouple
from iskpo.estimators import constant_threshold
from sweep.arms.arm import Arm, Estimator
from sweep.search_spaces.base import ArmDefaults

# Of the steady-state gain. Closer to 0 and 1 float64 would soon not tell it from these.
GAIN_RANGE = (1e-12, 1 - 1e-12)
# Of the threshold in log-ratio units and of kappa. Far beyond anything a log ratio can be; Q and V stay far from
# underflow.
THRESHOLD_RANGE = (1e-12, 1e6)
KAPPA_RANGE = (1e-6, 1e6)


def process_and_measurement_noise(
    *, gain: float, threshold: float, kappa: float, estimator: Estimator
) -> tuple[float, float]:
    """Q and V whose steady state is this gain and this threshold.

    The threshold of most estimators is kappa sigma, and `iskpo.closed_form.decouple` inverts that. Those with the
    constant threshold kappa sqrt(V) = kappa sigma sqrt(1 - K) get a sigma that is larger by 1/sqrt(1 - K).

    Args:
        gain: Steady-state gain K, 0 < K < 1.
        threshold: Steady-state threshold in log-ratio units; infinity for none, and then sigma is 1: without clipping
            a filter that starts at P_0 = 0 depends on Q/V alone.
        kappa: Standard deviations at which the threshold lies; not used where the threshold is infinite.
        estimator: What limits outliers.

    Returns:
        Q and V.

    Raises:
        ValueError: A value outside its range.
    """
    if math.isinf(threshold):
        return decouple(gain=gain, threshold=1.0, kappa=1.0)
    if constant_threshold(estimator=estimator, v=1.0, kappa=1.0) is not None:
        threshold /= math.sqrt(1 - gain)
    return decouple(gain=gain, threshold=threshold, kappa=kappa)


def arm_at(*, name: str, gain: float, threshold: float, kappa: float, defaults: ArmDefaults) -> Arm:
    """The arm with this steady-state gain and threshold, and everything else as the study has it."""
    q, v = process_and_measurement_noise(gain=gain, threshold=threshold, kappa=kappa, estimator=defaults.estimator)
    return Arm(
        name=name,
        q=q,
        v=v,
        kappa=math.inf if math.isinf(threshold) else kappa,
        p0=defaults.p0,
        rho0=defaults.rho0,
        gradient=defaults.gradient,
        numerics=defaults.numerics,
        estimator=defaults.estimator,
    )
