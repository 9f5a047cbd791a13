"""The types of the numbers that search spaces share, with their ranges."""

import math
from collections import Counter
from collections.abc import Hashable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field


def _kappa(value: float) -> float:
    if math.isnan(value) or value <= 0:
        raise ValueError("must be > 0 (.inf for no clipping)")
    return value


def _as_tuple(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, tuple):
        raise ValueError(f"must be a list, for example [{value}]")
    return value


_Item = TypeVar("_Item", bound=Hashable)


def _distinct(values: tuple[_Item, ...]) -> tuple[_Item, ...]:
    twice = [str(value) for value, times in Counter(values).items() if times > 1]
    if twice:
        raise ValueError(f"holds {', '.join(twice)} more than once")
    return values


# Process noise variance Q, measurement noise variance V and initial variance P_0: squared log-ratio units.
ProcessNoise = Annotated[float, Field(ge=0, allow_inf_nan=False)]
MeasurementNoise = Annotated[float, Field(gt=0, allow_inf_nan=False)]
InitialVariance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# Initial log ratio.
InitialLogRatio = Annotated[float, Field(allow_inf_nan=False)]
# Standard deviations at which innovations are clipped; infinity for none.
Kappa = Annotated[float, AfterValidator(_kappa)]

# Bound on the importance ratio, as a distance from 1.
ClipBound = Annotated[float, Field(gt=0, allow_inf_nan=False)]

List = BeforeValidator(_as_tuple)
Distinct = AfterValidator(_distinct)
NotEmpty = Field(min_length=1)
