"""Every combination of the given Q, V and kappa."""

import itertools
from typing import Annotated, Literal

from sweep.plan import Arm, number_text
from sweep.search_spaces.base import ArmDefaults, SearchSpace, register
from sweep.search_spaces.fields import Distinct, Kappa, List, MeasurementNoise, NotEmpty, ProcessNoise


@register("grid")
class Grid(SearchSpace):
    """Arms in the order of nested loops: Q outermost, kappa innermost.

    Attributes:
        q: Process noise variances.
        v: Measurement noise variances.
        kappa: Clipping thresholds in standard deviations; .inf for no clipping.
    """

    kind: Literal["grid"] = "grid"
    q: Annotated[tuple[ProcessNoise, ...], List, NotEmpty, Distinct]
    v: Annotated[tuple[MeasurementNoise, ...], List, NotEmpty, Distinct]
    kappa: Annotated[tuple[Kappa, ...], List, NotEmpty, Distinct]

    def size(self) -> int:
        """Number of combinations."""
        return len(self.q) * len(self.v) * len(self.kappa)

    def to_arms(self, *, defaults: ArmDefaults) -> list[Arm]:
        """One arm a combination, named by its numbers: ``Q1e-06_V1_k3``."""
        return [
            Arm(
                name=f"Q{number_text(q)}_V{number_text(v)}_k{number_text(kappa)}",
                q=q,
                v=v,
                kappa=kappa,
                p0=defaults.p0,
                rho0=defaults.rho0,
                gradient=defaults.gradient,
                numerics=defaults.numerics,
            )
            for q, v, kappa in itertools.product(self.q, self.v, self.kappa)
        ]
