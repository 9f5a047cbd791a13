"""The range of every parameter of the filter, checked in one place with one wording."""

import math
from typing import Any

import numpy as np


def check_positive(**values: Any) -> None:
    """Refuse anything but finite numbers > 0.

    Raises:
        ValueError: Names the parameter, its value and what is allowed.
    """
    for name, value in values.items():
        if not np.all(np.isfinite(value) & (np.asarray(value) > 0)):
            raise ValueError(f"{name} must be finite and > 0, got {value}")


def check_not_negative(**values: Any) -> None:
    """Refuse anything but finite numbers >= 0.

    Raises:
        ValueError: Names the parameter, its value and what is allowed.
    """
    for name, value in values.items():
        if not np.all(np.isfinite(value) & (np.asarray(value) >= 0)):
            raise ValueError(f"{name} must be finite and >= 0, got {value}")


def check_kappa(kappa: Any) -> None:
    """Refuse anything but numbers > 0; infinity means no clipping.

    Raises:
        ValueError: Names the value and what is allowed.
    """
    if not np.all(np.asarray(kappa) > 0):
        raise ValueError(f"kappa must be > 0 (infinity for no clipping), got {kappa}")


def check_filter(*, q: float, v: float, kappa: float, p0: float, rho0: float) -> None:
    """Check all parameters of one filter.

    Raises:
        ValueError: The first that is out of its range.
    """
    check_not_negative(q=q)
    check_positive(v=v)
    check_kappa(kappa)
    check_not_negative(p0=p0)
    if not math.isfinite(rho0):
        raise ValueError(f"rho0 must be finite, got {rho0}")
