"""Steady-state gain times clipping threshold: the two that the paper says cannot be chosen apart, chosen apart.

.. code-block:: yaml

    space:
      kind: decoupled
      gain: {low: 1e-4, high: 0.1, count: 4}    # even in logarithms; or a list
      threshold: [0.1, 0.3, .inf]               # log-ratio units; .inf for an arm without clipping
      kappa: [3]

Every combination becomes an arm whose Q and V follow from the closed form (`iskpo.closed_form.decouple`): any gain goes
with any threshold. Kappa only says in which proportion kappa and sqrt(V) make up the threshold. With P_0 = 0 that makes
no difference: the filter depends on Q/V and on kappa sqrt(V) alone. So several kappas are refused unless p0 is set.
"""

import itertools
import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from iskpo.closed_form import decouple
from iskpo.settings import CONSTANT_THRESHOLD, THRESHOLD_FROM_DATA, Estimator
from sweep.arms.arm import Arm
from sweep.arms.verl_settings import value_text
from sweep.input.errors import did_you_mean
from sweep.input.fields import Distinct, List, NotEmpty
from sweep.input.schema_errors import Place, located_errors
from sweep.search_spaces.base import ArmDefaults, register
from sweep.search_spaces.setting_keys import WithAxes

# Limits of the steady-state gain: closer to 0 and 1 float64 would soon not tell it from these.
GAIN_RANGE = (1e-12, 1 - 1e-12)
# Limits of the threshold in log-ratio units and of kappa: far beyond anything a log ratio can be, and Q and V stay far
# from underflow.
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
    if estimator in CONSTANT_THRESHOLD:
        threshold /= math.sqrt(1 - gain)
    return decouple(gain=gain, threshold=threshold, kappa=kappa)


class LogRange(BaseModel):
    """Values evenly spaced in logarithms, ends included, rounded to three significant digits so that names stay short.

    Attributes:
        low: The smallest.
        high: The largest.
        count: How many, at least 2.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    low: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    high: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    count: Annotated[int, Field(ge=2, le=1000)]

    @model_validator(mode="after")
    def _check(self) -> "LogRange":
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        if len(set(self.values())) < self.count:
            raise ValueError(f"count = {self.count} is too many: with three digits some values would be the same")
        return self

    def values(self) -> tuple[float, ...]:
        """The values, smallest first."""
        inner = (float(f"{value:.2e}") for value in np.geomspace(self.low, self.high, self.count)[1:-1])
        return (self.low, *inner, self.high)


def _values(value: Any) -> Any:
    if isinstance(value, dict):
        valid = list(LogRange.model_fields)
        if wrong := [key for key in value if key not in valid]:
            raise located_errors(value, [((key,), f"unknown key{did_you_mean(key, valid)}") for key in wrong])
        return LogRange.model_validate(value).values()
    return value


def _within(low: float, high: float, *, infinite: bool = False) -> AfterValidator:
    def check(value: float) -> float:
        if not (low <= value <= high or (infinite and value == math.inf)):
            beyond = ", or .inf for no clipping" if infinite else ""
            raise ValueError(f"must lie between {low:g} and {_below_one(high)}{beyond}, got {value:g}")
        return value

    return AfterValidator(check)


def _below_one(value: float) -> str:
    return "1 - 1e-12" if value == GAIN_RANGE[1] else f"{value:g}"


Gain = Annotated[float, _within(*GAIN_RANGE)]
Threshold = Annotated[float, _within(*THRESHOLD_RANGE, infinite=True)]
FiniteKappa = Annotated[float, _within(*KAPPA_RANGE)]


@register("decoupled")
class Decoupled(WithAxes):
    """Arms in the order of nested loops: settings of verl's outermost, then gain, threshold, kappa.

    Attributes:
        gain: Steady-state Kalman gains, each between 0 and 1: a list, or ``{low, high, count}``.
        threshold: Clipping thresholds in log-ratio units; .inf for none: a list, or ``{low, high, count}``.
        kappa: Standard deviations at which the threshold lies.
    """

    kind: Literal["decoupled"] = "decoupled"
    gain: Annotated[tuple[Gain, ...], NotEmpty, Distinct, List, BeforeValidator(_values)]
    threshold: Annotated[tuple[Threshold, ...], NotEmpty, Distinct, List, BeforeValidator(_values)]
    kappa: Annotated[tuple[FiniteKappa, ...], NotEmpty, Distinct, List] = (3.0,)

    def size(self) -> int:
        """Number of combinations; without clipping kappa makes no difference."""
        clipped = sum(math.isfinite(threshold) for threshold in self.threshold)
        return len(self.gain) * (clipped * len(self.kappa) + len(self.threshold) - clipped) * self.combinations

    def problems(self, *, defaults: ArmDefaults) -> list[tuple[Place, str]]:
        """What cannot be combined with the study's other keys."""
        if defaults.numerics != "exact" and defaults.estimator != "clip":
            message = f"the study's numerics {defaults.numerics} have no estimator {defaults.estimator}"
            return [(("threshold",), message)]
        if defaults.estimator in THRESHOLD_FROM_DATA:
            message = f"the study's estimator {defaults.estimator} sets its threshold from data: use kind: grid or arms"
            return [(("threshold",), message)]
        found: list[tuple[Place, str]] = []
        if len(self.kappa) > 1 and defaults.p0 == 0:
            message = "with p0 = 0 gain and threshold say everything, and every kappa gives the same arm: list one"
            found.append((("kappa",), message))
        for index, threshold in enumerate(self.threshold):
            place: Place = ("threshold", index)
            if math.isinf(threshold):
                if defaults.p0 != 0:
                    message = f"without clipping the scale of V is open, and with p0 = {defaults.p0:g} it matters"
                    found.append((place, f"{message}: list such an arm under kind: arms"))
                if defaults.estimator not in ("clip", "ema"):
                    message = f"the study's estimator {defaults.estimator} needs a finite threshold"
                    found.append((place, message))
            elif defaults.numerics != "exact":
                found.append((place, f"the study's numerics {defaults.numerics} cannot clip: only .inf is possible"))
            elif defaults.estimator == "ema":
                found.append((place, "the study's estimator ema has no threshold: only .inf is possible"))
        return found

    def _combinations(self) -> list[tuple[float, float, float]]:
        combinations = itertools.product(self.gain, self.threshold, self.kappa)
        return [(g, c, k) for g, c, k in combinations if math.isfinite(c) or k == self.kappa[0]]

    def to_arms(self, *, defaults: ArmDefaults) -> list[Arm]:
        """One arm a combination, named by it: ``gain0.001_threshold0.3``, ``gain0.001_unclipped``."""
        several = len(self.kappa) > 1
        arms = []
        for gain, threshold, kappa in self._combinations():
            name = f"gain{value_text(gain)}_"
            name += f"threshold{value_text(threshold)}" if math.isfinite(threshold) else "unclipped"
            name += f"_k{value_text(kappa)}" if several and math.isfinite(threshold) else ""
            q, v = process_and_measurement_noise(
                gain=gain, threshold=threshold, kappa=kappa, estimator=defaults.estimator
            )
            arms.append(defaults.arm(name=name, q=q, v=v, kappa=math.inf if math.isinf(threshold) else kappa))
        return self.crossed(arms)
