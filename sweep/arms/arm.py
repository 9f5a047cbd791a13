"""One setting to train with: the filter's, or a neighbour's loss without one."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sweep.arms.losses import ISKPO, NEIGHBOURS, Advantage, Loss

Gradient = Literal["straight_through", "through"]
Numerics = Literal["exact", "public-cumsum-fp32"]
Estimator = Literal["clip", "saturated", "huber", "wolf", "inflation", "ema"]


@dataclass(frozen=True, eq=False)
class Arm:
    """One setting to train with: of the filter, or a neighbour's loss without one.

    Attributes:
        name: Unique in its study; part of folder names.
        q: Process noise variance Q, in squared log-ratio units; >= 0.
        v: Measurement noise variance V, in squared log-ratio units; > 0.
        kappa: Innovations are clipped at kappa standard deviations; infinity for KPO without clipping.
        p0: Posterior variance before the first token.
        rho0: Filtered log ratio before the first token.
        gradient: ``straight_through`` as in KPO's public code, or ``through`` the filter.
        numerics: ``exact``, or ``public-cumsum-fp32``, the published float32 formula, which cannot clip.
        estimator: What limits outliers, with kappa as its threshold: ``clip``, or an alternative of `iskpo.robust`.
        loss: ``iskpo``, or a loss of `losses.py`. Those have no Kalman filter: q, v, kappa, p0 and rho0 are NaN.
        advantage: How advantages are estimated; None for the profile's way.
        dynamic_sampling: Replace prompts whose samples all got the same reward (DAPO).
        clip_low: A neighbour's lower bound on the ratio; None for its paper's.
        clip_high: Its upper bound.
    """

    name: str
    q: float = math.nan
    v: float = math.nan
    kappa: float = math.inf
    p0: float = 0.0
    rho0: float = 0.0
    gradient: Gradient = "straight_through"
    numerics: Numerics = "exact"
    estimator: Estimator = "clip"
    loss: Loss = ISKPO
    advantage: Advantage | None = None
    dynamic_sampling: bool = False
    clip_low: float | None = None
    clip_high: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no filter and no loss can run.

        Raises:
            ValueError: A value outside its range, or one that the loss does not have.
        """
        bounds = {"clip_low": self.clip_low, "clip_high": self.clip_high}
        given = [name for name, value in bounds.items() if value is not None]
        checks = [
            (self.loss in get_args(Loss), f"loss must be one of {get_args(Loss)}, got {self.loss!r}"),
            (
                self.advantage is None or self.advantage in get_args(Advantage),
                f"advantage must be one of {get_args(Advantage)}, got {self.advantage!r}",
            ),
        ]
        checks += [
            (math.isfinite(value) and value > 0, f"{name} must be finite and > 0, got {value}")
            for name, value in bounds.items()
            if value is not None
        ]
        if self.has_filter:
            checks += [
                *self._filter_checks(),
                (not given, f"{' and '.join(given)}: the loss iskpo has bounds of its own"),
            ]
        elif self.loss in NEIGHBOURS:
            clips = NEIGHBOURS[self.loss].clip is not None
            checks += [
                (
                    math.isnan(self.q) and math.isnan(self.v),
                    f"loss {self.loss} has no Kalman filter, and so no q and v",
                ),
                (clips or not given, f"{' and '.join(given)}: the loss {self.loss} does not clip"),
            ]
            for name in ("kappa", "p0", "rho0"):
                object.__setattr__(self, name, math.nan)
        for ok, message in checks:
            if not ok:
                raise ValueError(f"arm {self.name}: {message}")

    def _filter_checks(self) -> list[tuple[bool, str]]:
        return [
            (math.isfinite(self.q) and self.q >= 0, f"q must be finite and >= 0, got {self.q}"),
            (math.isfinite(self.v) and self.v > 0, f"v must be finite and > 0, got {self.v}"),
            (self.kappa > 0, f"kappa must be > 0 (.inf for no clipping), got {self.kappa}"),
            (math.isfinite(self.p0) and self.p0 >= 0, f"p0 must be finite and >= 0, got {self.p0}"),
            (math.isfinite(self.rho0), f"rho0 must be finite, got {self.rho0}"),
            (self.gradient in get_args(Gradient), f"gradient must be one of {get_args(Gradient)}"),
            (self.numerics in get_args(Numerics), f"numerics must be one of {get_args(Numerics)}"),
            (self.estimator in get_args(Estimator), f"estimator must be one of {get_args(Estimator)}"),
        ]

    def __eq__(self, other: object) -> bool:
        """Same name and same parameters; NaN, which stands for what a loss does not have, equals NaN."""
        return isinstance(other, Arm) and (self.name, self.parameters) == (other.name, other.parameters)

    def __hash__(self) -> int:
        """Of what is compared."""
        return hash((self.name, self.parameters))

    @property
    def has_filter(self) -> bool:
        """Whether the loss filters importance ratios; without that there is neither gain nor threshold."""
        return self.loss == ISKPO

    @property
    def parameters(self) -> tuple[Any, ...]:
        """Everything but the name: two arms with the same parameters train alike."""
        loss = (self.loss, self.advantage, self.dynamic_sampling, self.clip_low, self.clip_high)
        if not self.has_filter:
            return loss
        return (
            self.q, self.v, self.kappa, self.p0, self.rho0, self.gradient, self.numerics, self.estimator, *loss,
        )  # fmt: skip

    @property
    def predicted_gain(self) -> float:
        """Steady-state Kalman gain, of the closed form and without outliers; 0 to 1, NaN where there is no filter."""
        if not self.has_filter:
            return math.nan
        from iskpo.closed_form import steady_state_gain

        return float(steady_state_gain(q=self.q, v=self.v))

    @property
    def gain_depends_on_data(self) -> bool:
        """Whether outliers change the gain, which the prediction then does not know."""
        from iskpo.estimators import gain_depends_on_data

        return self.has_filter and gain_depends_on_data(estimator=self.estimator)

    @property
    def predicted_threshold(self) -> float:
        """Steady-state threshold of the estimator, in log-ratio units; infinite without clipping, NaN without a
        filter.
        """
        if not self.has_filter:
            return math.nan
        from iskpo.closed_form import steady_state_threshold
        from iskpo.estimators import constant_threshold

        constant = constant_threshold(estimator=self.estimator, v=self.v, kappa=self.kappa)
        return constant if constant is not None else float(steady_state_threshold(q=self.q, v=self.v, kappa=self.kappa))


def number_text(value: float) -> str:
    """The shortest text that stands for exactly this number: ``1e-06``, ``1``, ``0.25``, ``inf``."""
    return repr(float(value)).removesuffix(".0")
