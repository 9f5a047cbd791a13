"""What a study will run: arms, and the trials they become."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from sweep.study import Study

Gradient = Literal["straight_through", "through"]
Numerics = Literal["exact", "public-cumsum-fp32"]
Estimator = Literal["clip", "saturated", "huber", "wolf", "inflation", "ema"]


@dataclass(frozen=True)
class Arm:
    """One setting of the filter to train with.

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
    """

    name: str
    q: float
    v: float
    kappa: float = math.inf
    p0: float = 0.0
    rho0: float = 0.0
    gradient: Gradient = "straight_through"
    numerics: Numerics = "exact"
    estimator: Estimator = "clip"

    def __post_init__(self) -> None:
        """Refuse what no filter can run.

        Raises:
            ValueError: A value outside its range.
        """
        for ok, message in (
            (math.isfinite(self.q) and self.q >= 0, f"q must be finite and >= 0, got {self.q}"),
            (math.isfinite(self.v) and self.v > 0, f"v must be finite and > 0, got {self.v}"),
            (self.kappa > 0, f"kappa must be > 0 (.inf for no clipping), got {self.kappa}"),
            (math.isfinite(self.p0) and self.p0 >= 0, f"p0 must be finite and >= 0, got {self.p0}"),
            (math.isfinite(self.rho0), f"rho0 must be finite, got {self.rho0}"),
            (self.gradient in get_args(Gradient), f"gradient must be one of {get_args(Gradient)}"),
            (self.numerics in get_args(Numerics), f"numerics must be one of {get_args(Numerics)}"),
            (self.estimator in get_args(Estimator), f"estimator must be one of {get_args(Estimator)}"),
        ):
            if not ok:
                raise ValueError(f"arm {self.name}: {message}")

    @property
    def parameters(self) -> tuple[float, float, float, float, float, str, str, str]:
        """Everything but the name: two arms with the same parameters train alike."""
        return (self.q, self.v, self.kappa, self.p0, self.rho0, self.gradient, self.numerics, self.estimator)

    @property
    def predicted_gain(self) -> float:
        """Steady-state Kalman gain, of the closed form and without outliers; dimensionless, 0 to 1."""
        from iskpo.closed_form import steady_state_gain

        return float(steady_state_gain(q=self.q, v=self.v))

    @property
    def gain_depends_on_data(self) -> bool:
        """Whether outliers change the gain, which the prediction then does not know."""
        from iskpo.estimators import gain_depends_on_data

        return gain_depends_on_data(estimator=self.estimator)

    @property
    def predicted_threshold(self) -> float:
        """Steady-state threshold of the estimator, in log-ratio units; infinite without clipping."""
        from iskpo.closed_form import steady_state_threshold
        from iskpo.estimators import constant_threshold

        constant = constant_threshold(estimator=self.estimator, v=self.v, kappa=self.kappa)
        return constant if constant is not None else float(steady_state_threshold(q=self.q, v=self.v, kappa=self.kappa))


@dataclass(frozen=True)
class TrialPlan:
    """One training run: an arm with a seed.

    Attributes:
        key: Unique in its study, the same every time it is planned, and safe as a folder name.
        arm: The arm.
        seed: Seed of data order and sampling; arms share seeds, so they see the same prompts in the same order.
    """

    key: str
    arm: Arm
    seed: int


def plan_trials(study: "Study") -> list[TrialPlan]:
    """All trials of a study, breadth first: every arm's first seed comes before any arm's second.

    >>> from sweep.study import Study
    >>> space = {"kind": "grid", "q": [1e-6], "v": [1.0], "kappa": [3.0, 1.0]}
    >>> [trial.key for trial in plan_trials(Study(name="example", space=space, seeds=2, steps=1))]
    ['Q1e-06_V1_k3_s0', 'Q1e-06_V1_k1_s0', 'Q1e-06_V1_k3_s1', 'Q1e-06_V1_k1_s1']
    """
    arms = study.arms()
    return [TrialPlan(key=f"{arm.name}_s{seed}", arm=arm, seed=seed) for seed in study.seeds for arm in arms]


def number_text(value: float) -> str:
    """The shortest text that stands for exactly this number: ``1e-06``, ``1``, ``0.25``, ``inf``."""
    return repr(float(value)).removesuffix(".0")
