"""An explicit list of arms."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sweep.nearest import did_you_mean
from sweep.paper import PAPER_ARMS
from sweep.plan import Arm, Estimator, Gradient, Numerics
from sweep.search_spaces.base import ArmDefaults, SearchSpace, register
from sweep.search_spaces.fields import (
    InitialLogRatio,
    InitialVariance,
    Kappa,
    List,
    MeasurementNoise,
    NotEmpty,
    ProcessNoise,
)


class ArmSpecification(BaseModel):
    """One entry of the list; see `sweep.plan.Arm`. What is left out is the study's, and no clipping."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Part of folder names on every platform.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)]
    q: ProcessNoise
    v: MeasurementNoise
    kappa: Kappa = math.inf
    p0: InitialVariance | None = None
    rho0: InitialLogRatio | None = None
    gradient: Gradient | None = None
    numerics: Numerics | None = None
    estimator: Estimator | None = None


def _paper_arm(value: Any) -> Any:
    """A bare name stands for the paper's configuration of that name."""
    if not isinstance(value, str):
        return value
    for arm in PAPER_ARMS:
        if arm.name == value:
            return {"name": arm.name, "q": arm.q, "v": arm.v, "kappa": arm.kappa}
    raise ValueError(f"no arm of the paper is called {value!r}{did_you_mean(value, [arm.name for arm in PAPER_ARMS])}")


@register("arms")
class ArmList(SearchSpace):
    """The arms as listed.

    Attributes:
        arms: Entries: a mapping, or the bare name of one of the paper's configurations.
    """

    kind: Literal["arms"] = "arms"
    arms: Annotated[tuple[Annotated[ArmSpecification, BeforeValidator(_paper_arm)], ...], List, NotEmpty]

    def size(self) -> int:
        """Length of the list."""
        return len(self.arms)

    def to_arms(self, *, defaults: ArmDefaults) -> list[Arm]:
        """One arm an entry."""
        return [
            Arm(
                name=entry.name,
                q=entry.q,
                v=entry.v,
                kappa=entry.kappa,
                p0=defaults.p0 if entry.p0 is None else entry.p0,
                rho0=defaults.rho0 if entry.rho0 is None else entry.rho0,
                gradient=entry.gradient or defaults.gradient,
                numerics=entry.numerics or defaults.numerics,
                estimator=entry.estimator or defaults.estimator,
            )
            for entry in self.arms
        ]

    def location(self, index: int) -> tuple[str | int, ...]:
        """The entry of this arm."""
        return ("arms", index)
