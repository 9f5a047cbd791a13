"""What a filter can be asked to run with; every public function refuses the rest with the same words."""

from typing import Any

import numpy as np


def check_parameters(*, q: Any = None, v: Any = None, kappa: Any = None, p0: Any = None, rho0: Any = None) -> None:
    """Refuse impossible parameters; those that are None are not checked.

    Raises:
        ValueError: Names the parameter, what is allowed and the value.
    """
    for name, value, allowed, ok in (
        ("q", q, "finite and >= 0", lambda x: np.isfinite(x) & (x >= 0)),
        ("v", v, "finite and > 0", lambda x: np.isfinite(x) & (x > 0)),
        ("kappa", kappa, "> 0 (infinity for no clipping)", lambda x: x > 0),
        ("p0", p0, "finite and >= 0", lambda x: np.isfinite(x) & (x >= 0)),
        ("rho0", rho0, "finite", np.isfinite),
    ):
        if value is not None and not np.all(ok(np.asarray(value, dtype=np.float64))):
            raise ValueError(f"{name} must be {allowed}, got {value}")
