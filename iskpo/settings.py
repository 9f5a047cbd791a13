"""The parameters of one filter, with their ranges and what follows from them; without torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

Gradient = Literal["straight_through", "through"]
Numerics = Literal["exact", "public-cumsum-fp32"]
# Formulas and sources of all but `clip` are in `iskpo.robust`.
ModelEstimator = Literal["saturated", "two_step", "huber", "wolf", "inflation", "ema"]
# Those that clip at a threshold that the sequence's own innovations set, token by token.
CausalEstimator = Literal["mad", "ewma", "quantile", "adaptive"]
RobustEstimator = Literal[ModelEstimator, CausalEstimator]
# Those that clip at a threshold from the innovations of the training step before (`iskpo.batch_threshold`).
BatchEstimator = Literal["batch_mad", "batch_mean", "batch_quantile"]
# `uncertainty` clips as `clip` does, with a measurement noise for each token (`iskpo.kernels.uncertain_noise`).
Estimator = Literal["clip", "uncertainty", RobustEstimator, BatchEstimator]

# The values of each setting that is a word.
CHOICES: dict[str, tuple[str, ...]] = {
    "estimator": get_args(Estimator),
    "numerics": get_args(Numerics),
    "gradient": get_args(Gradient),
}
# Estimators whose threshold is kappa sqrt(V) for every token; that of the others is kappa sigma_t.
CONSTANT_THRESHOLD: tuple[Estimator, ...] = ("saturated", "two_step", "wolf")
CAUSAL: tuple[CausalEstimator, ...] = get_args(CausalEstimator)
BATCH: tuple[BatchEstimator, ...] = get_args(BatchEstimator)
THRESHOLD_FROM_DATA: tuple[Estimator, ...] = (*CAUSAL, *BATCH)
# Estimators that clip innovations; the others limit what exceeds the threshold in another way.
CLIPPING: tuple[Estimator, ...] = ("clip", "uncertainty", "saturated", "two_step", *THRESHOLD_FROM_DATA)
# Estimators whose kappa is the share of innovations that pass, 0 to 1.
SHARE: tuple[Estimator, ...] = ("quantile", "batch_quantile")
# Estimators with which data change the gain, so that no closed form predicts the realised one.
GAIN_DEPENDS_ON_DATA: tuple[Estimator, ...] = ("huber", "wolf", "inflation", "uncertainty")
# Estimators that are worth running without a threshold.
WITHOUT_THRESHOLD: tuple[Estimator, ...] = ("clip", "uncertainty", "ema")


# Of thresholds from data: the newest innovation's share in a running mean; observed tokens of a sequence before it has
# one; and what makes a Gaussian's median |innovation| its standard deviation.
RATE, WARM_UP, MAD_SCALE = 1 / 32, 8, 1.4826022185056018
# Least measurement noise of a token, as a share of V, however sure of it the old policy was: 0.01^2.
NOISE_FLOOR = 1e-4
# KPO's bounds on the ratio, as distances below and above 1 (arXiv 2602.10609, and its public code).
KPO_BOUNDS = (0.0003, 0.0004)


def check_positive(**values: Any) -> None:
    """Refuse anything but finite numbers > 0, or arrays of these.

    Raises:
        ValueError: Names the parameter, its value and what is allowed.
    """
    for name, value in values.items():
        if not np.all(np.isfinite(value) & (np.asarray(value) > 0)):
            raise ValueError(f"{name} must be finite and > 0, got {value}")


def check_not_negative(**values: Any) -> None:
    """Refuse anything but finite numbers >= 0, or arrays of these; raises as `check_positive` does."""
    for name, value in values.items():
        if not np.all(np.isfinite(value) & (np.asarray(value) >= 0)):
            raise ValueError(f"{name} must be finite and >= 0, got {value}")


def check_kappa(kappa: Any) -> None:
    """Refuse anything but numbers > 0, or arrays of these; infinity means no clipping."""
    if not np.all(np.asarray(kappa) > 0):
        raise ValueError(f"kappa must be > 0 (infinity for no clipping), got {kappa}")


def check_filter(*, q: Any, v: Any, kappa: Any, p0: Any, rho0: Any) -> None:
    """Check the numbers of a filter, or arrays of them.

    Raises:
        ValueError: The first that is out of its range.
    """
    check_not_negative(q=q)
    check_positive(v=v)
    check_kappa(kappa)
    check_not_negative(p0=p0)
    if not np.all(np.isfinite(rho0)):
        raise ValueError(f"rho0 must be finite, got {rho0}")


@dataclass(frozen=True)
class FilterSettings:
    """Everything that says what a filter computes; each value is within its range.

    Attributes:
        q: Process noise variance Q >= 0, in squared log-ratio units.
        v: Measurement noise variance V > 0, in squared log-ratio units.
        kappa: Innovations are clipped at kappa standard deviations; > 0, infinity for KPO without clipping.
        p0: Variance of rho before the first token, >= 0.
        rho0: Filtered log ratio before the first token.
        gradient: ``straight_through`` as in KPO's public code, or ``through`` the filter.
        numerics: ``exact``, or ``public-cumsum-fp32``, the published float32 formula, which cannot clip.
        estimator: What limits outliers, with kappa as its threshold: ``clip``, an alternative of `iskpo.robust`, a
            threshold from the step before (`iskpo.batch_threshold`), or ``uncertainty``, which clips under a noise
            that follows (1 - pi_old)^2.
        state_kappa: Second threshold of ``two_step``, at which the change of the state counts no more, in predicted
            standard deviations of the state; > 0, infinity for none.

    Raises:
        ValueError: A value outside its range.
    """

    q: float
    v: float
    kappa: float = math.inf
    p0: float = 0.0
    rho0: float = 0.0
    gradient: Gradient = "straight_through"
    numerics: Numerics = "exact"
    estimator: Estimator = "clip"
    state_kappa: float = math.inf

    def __post_init__(self) -> None:
        """Check each value by itself; `contradictions` looks at them together."""
        check_filter(q=self.q, v=self.v, kappa=self.kappa, p0=self.p0, rho0=self.rho0)
        if not self.state_kappa > 0:
            raise ValueError(f"state_kappa must be > 0 (infinity for none), got {self.state_kappa}")
        for name, allowed in CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}")

    def contradictions(self) -> list[str]:
        """Why no filter can be run with these values together; empty where one can."""
        found = []
        if self.numerics != "exact" and math.isfinite(self.kappa):
            found.append(f"numerics {self.numerics} cannot clip: leave kappa out (.inf), or set numerics: exact")
        if self.numerics != "exact" and self.estimator != "clip":
            found.append(f"numerics {self.numerics} is one formula, without the estimator {self.estimator}")
        if self.estimator == "ema" and math.isfinite(self.kappa):
            found.append("estimator ema has no threshold: leave kappa out (.inf)")
        if self.estimator in SHARE and self.kappa >= 1:
            found.append(
                f"estimator {self.estimator}: kappa is the share of innovations that pass, above 0 and below 1"
            )
        if self.estimator != "two_step" and math.isfinite(self.state_kappa):
            found.append(f"estimator {self.estimator} has no threshold of the state: leave state_kappa out (.inf)")
        return found

    def refuse_contradictions(self) -> None:
        """Raise the first of `contradictions` as a ValueError."""
        for message in self.contradictions():
            raise ValueError(message)

    @property
    def constant_threshold(self) -> float | None:
        """The threshold of all tokens, kappa sqrt(V), of estimators that have one; None where tokens differ in it."""
        return self.kappa * math.sqrt(self.v) if self.estimator in CONSTANT_THRESHOLD else None

    def as_metrics(self) -> dict[str, float]:
        """The echo: numbers under their names, ``kalman/q``, and 1 under a choice's, ``kalman/estimator/clip``."""
        return {
            f"kalman/{name}/{value}" if name in CHOICES else f"kalman/{name}": 1.0 if name in CHOICES else float(value)
            for name, value in asdict(self).items()
        }


FILTER_KEYS = tuple(field.name for field in fields(FilterSettings))


def echoed_settings(metrics: Mapping[str, float]) -> dict[str, list[Any]]:
    """By name of each setting, every value of it among metrics that `FilterSettings.as_metrics` named; usually one."""
    found: dict[str, list[Any]] = {
        name: [metrics[f"kalman/{name}"]] if f"kalman/{name}" in metrics else [] for name in FILTER_KEYS
    }
    return found | {
        name: [value for value in values if f"kalman/{name}/{value}" in metrics] for name, values in CHOICES.items()
    }
