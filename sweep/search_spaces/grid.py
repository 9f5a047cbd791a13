"""Every combination of the given Q, V and kappa, and of estimators, numerics and settings where these are given."""

import itertools
import math
from typing import Annotated, Literal

from iskpo.settings import Estimator, Numerics
from sweep.arms.arm import Arm
from sweep.arms.verl_settings import value_text
from sweep.input.fields import Distinct, Kappa, List, MeasurementNoise, NotEmpty, ProcessNoise
from sweep.search_spaces.base import ArmDefaults, register
from sweep.search_spaces.setting_keys import WithAxes


@register("grid")
class Grid(WithAxes):
    """Arms in the order of nested loops: settings of verl's outermost, then Q, V, kappa, estimator, numerics.

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
        return math.prod(len(factor) for factor in factors if factor is not None) * self.combinations

    def to_arms(self, *, defaults: ArmDefaults) -> list[Arm]:
        """One arm a combination, named by its numbers and by the factors given: ``Q1e-06_V1_k3_huber_lr1e-05``."""
        arms = [
            defaults.arm(
                name="_".join(
                    (
                        f"Q{value_text(q)}_V{value_text(v)}_k{value_text(kappa)}",
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
        return self.crossed(arms)
