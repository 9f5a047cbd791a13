"""Every combination of the given Q, V and kappa, and of estimators and numerics where these are given."""

import itertools
import math
from typing import Annotated, Literal

from iskpo.settings import Estimator, Numerics
from sweep.arms.arm import Arm, number_text
from sweep.input.fields import Distinct, Kappa, List, MeasurementNoise, NotEmpty, ProcessNoise
from sweep.search_spaces.base import ArmDefaults, SearchSpace, register


@register("grid")
class Grid(SearchSpace):
    """Arms in the order of nested loops: Q outermost, then V, kappa, estimator, numerics.

    Attributes:
        q: Process noise variances.
        v: Measurement noise variances.
        kappa: Clipping thresholds in standard deviations; .inf for no clipping.
        estimator: What limits outliers; the study's where it is left out.
        numerics: Numerics of the filter; likewise.
    """

    kind: Literal["grid"] = "grid"
    q: Annotated[tuple[ProcessNoise, ...], List, NotEmpty, Distinct]
    v: Annotated[tuple[MeasurementNoise, ...], List, NotEmpty, Distinct]
    kappa: Annotated[tuple[Kappa, ...], List, NotEmpty, Distinct]
    estimator: Annotated[tuple[Estimator, ...], List, NotEmpty, Distinct] | None = None
    numerics: Annotated[tuple[Numerics, ...], List, NotEmpty, Distinct] | None = None

    def size(self) -> int:
        """Number of combinations."""
        factors = (self.q, self.v, self.kappa, self.estimator, self.numerics)
        return math.prod(len(factor) for factor in factors if factor is not None)

    def to_arms(self, *, defaults: ArmDefaults) -> list[Arm]:
        """One arm a combination, named by its numbers and by the factors given: ``Q1e-06_V1_k3_huber``."""
        return [
            defaults.arm(
                name="_".join(
                    (
                        f"Q{number_text(q)}_V{number_text(v)}_k{number_text(kappa)}",
                        *([estimator] if self.estimator else []),
                        *([numerics] if self.numerics else []),
                    )
                ),
                q=q,
                v=v,
                kappa=kappa,
                numerics=numerics,
                estimator=estimator,
            )
            for q, v, kappa, estimator, numerics in itertools.product(
                self.q,
                self.v,
                self.kappa,
                self.estimator or (defaults.estimator,),
                self.numerics or (defaults.numerics,),
            )
        ]
