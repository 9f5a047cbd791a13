"""One setting to train with: the filter's, or a neighbour's loss without one."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_args

from iskpo.closed_form import steady_state_gain, steady_state_threshold
from iskpo.settings import (
    FILTER_KEYS,
    GAIN_DEPENDS_ON_DATA,
    THRESHOLD_FROM_DATA,
    WITHOUT_THRESHOLD,
    Estimator,
    FilterSettings,
    Gradient,
    Numerics,
)
from iskpo.verl.names import UNSHAPED_REWARD
from sweep.arms.losses import ACTOR, ISKPO, NEIGHBOURS, Advantage, Loss
from sweep.arms.verl_settings import (
    IN_PLACE,
    Value,
    canonical,
    labels,
    name_problem,
    value_problem,
    value_text,
    verl_keys,
    verl_values,
)

# Q/V within these limits gives a gain between 1e-15 and 1 - 1e-15, as far as float64 can tell it from 0 and 1.
_RATIOS = (1e-30, 1e15)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True, eq=False)
class Arm:
    """One setting to train with: of the filter, or a neighbour's loss without one.

    The filter's parameters (`q` to `estimator`) are described and checked in `iskpo.settings.FilterSettings`.

    Attributes:
        name: Unique in its study; part of folder names.
        loss: ``iskpo``, or a loss of `losses.py`. Those have no Kalman filter: q, v, kappa, p0, rho0 and
            state_kappa are NaN.
        advantage: How advantages are estimated; None for the profile's way.
        dynamic_sampling: Replace prompts whose samples all got the same reward (DAPO).
        clip_low: A neighbour's lower bound on the ratio; None for its paper's.
        clip_high: Its upper bound.
        settings: verl's settings in which it differs from other arms, by short name (`sweep.arms.verl_settings`) or
            dotted key.

    Raises:
        ValueError: A value outside its range, or one that the loss does not have.
    """

    name: str
    q: float = math.nan
    v: float = math.nan
    kappa: float = FilterSettings.kappa
    p0: float = FilterSettings.p0
    rho0: float = FilterSettings.rho0
    gradient: Gradient = FilterSettings.gradient
    numerics: Numerics = FilterSettings.numerics
    estimator: Estimator = FilterSettings.estimator
    state_kappa: float = FilterSettings.state_kappa
    loss: Loss = ISKPO
    advantage: Advantage | None = None
    dynamic_sampling: bool = False
    clip_low: float | None = None
    clip_high: float | None = None
    settings: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no filter and no loss can run."""
        try:
            self._check_loss()
            object.__setattr__(self, "settings", canonical(self.settings))
            # Made here, so that it is checked before anything is run.
            if self.filter is None:
                for name in ("kappa", "p0", "rho0", "state_kappa"):
                    object.__setattr__(self, name, math.nan)
        except ValueError as error:
            raise ValueError(f"arm {self.name}: {error}") from None

    def _check_loss(self) -> None:
        if self.loss not in get_args(Loss):
            raise ValueError(f"loss must be one of {get_args(Loss)}, got {self.loss!r}")
        if self.advantage is not None and self.advantage not in get_args(Advantage):
            raise ValueError(f"advantage must be one of {get_args(Advantage)}, got {self.advantage!r}")
        bounds = {"clip_low": self.clip_low, "clip_high": self.clip_high}
        given = {name: value for name, value in bounds.items() if value is not None}
        for name, value in given.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be finite and > 0, got {value}")
        if self.loss == ISKPO:
            if given:
                raise ValueError(
                    f"{' and '.join(given)}: the loss iskpo has bounds of its own: set eps_low, eps_high or clip"
                )
            return
        if not (math.isnan(self.q) and math.isnan(self.v)):
            raise ValueError(f"loss {self.loss} has no Kalman filter, and so no q and v")
        if given and NEIGHBOURS[self.loss].clip is None:
            raise ValueError(f"{' and '.join(given)}: the loss {self.loss} does not clip")

    @cached_property
    def filter(self) -> FilterSettings | None:
        """The filter's settings; None where the loss has no filter, and so neither gain nor threshold."""
        return FilterSettings(**{name: getattr(self, name) for name in FILTER_KEYS}) if self.loss == ISKPO else None

    def __eq__(self, other: object) -> bool:
        """Same name and same parameters; NaN, which stands for what a loss does not have, equals NaN."""
        return isinstance(other, Arm) and (self.name, self.parameters) == (other.name, other.parameters)

    def __hash__(self) -> int:
        """Follows `__eq__`."""
        return hash((self.name, self.parameters))

    @property
    def has_filter(self) -> bool:
        """Whether the loss filters importance ratios."""
        return self.filter is not None

    @property
    def parameters(self) -> tuple[Any, ...]:
        """Everything but the name: two arms with the same parameters train alike."""
        settings = tuple(sorted(self.verl_settings().items()))
        return (self.filter, self.loss, self.advantage, self.dynamic_sampling, self.clip_low, self.clip_high, settings)

    def verl_settings(self) -> dict[str, Value | None]:
        """Dotted verl key to value, of `settings`."""
        return {key: given for name, value in self.settings.items() for key, given in verl_values(name, value).items()}

    @property
    def slot_settings(self) -> dict[str, Value | None]:
        """Those with which a slot has to start: one that is warm takes over others in place."""
        return {key: value for key, value in self.verl_settings().items() if key not in IN_PLACE}

    @property
    def settings_text(self) -> str:
        """`settings` in words, such as ``lr 0.0001, temperature 0.7``; empty where there are none."""
        words = labels(self.settings)
        return ", ".join(f"{words[name]} {value_text(value)}" for name, value in self.settings.items())

    @property
    def predicted_gain(self) -> float:
        """Steady-state Kalman gain, of the closed form and without outliers; 0 to 1, NaN where there is no filter."""
        return math.nan if self.filter is None else steady_state_gain(q=self.q, v=self.v)

    @property
    def gain_depends_on_data(self) -> bool:
        """Whether the data change the gain, which the prediction then does not know."""
        return self.filter is not None and self.estimator in GAIN_DEPENDS_ON_DATA

    @property
    def threshold_depends_on_data(self) -> bool:
        """Whether innovations set the threshold, of the sequence or of the step before."""
        return self.filter is not None and self.estimator in THRESHOLD_FROM_DATA

    @property
    def predicted_threshold(self) -> float:
        """Steady-state threshold in log-ratio units; infinite without clipping.

        NaN where there is no filter, and where the threshold follows from data.
        """
        if self.filter is None or self.threshold_depends_on_data:
            return math.nan
        constant = self.filter.constant_threshold
        return constant if constant is not None else steady_state_threshold(q=self.q, v=self.v, kappa=self.kappa)

    @property
    def clip_bounds(self) -> tuple[float, float] | None:
        """The bounds on the ratio of a neighbour's loss; None for those without, and for IS-KPO's own."""
        if self.loss == ISKPO or (usual := NEIGHBOURS[self.loss].clip) is None:
            return None
        return (
            usual[0] if self.clip_low is None else self.clip_low,
            usual[1] if self.clip_high is None else self.clip_high,
        )

    def loss_settings(self) -> dict[str, Any]:
        """verl settings of loss, advantage and sampling, but for the filter's; empty for a plain IS-KPO arm."""
        settings: dict[str, Any] = {}
        if self.loss != ISKPO:
            neighbour = NEIGHBOURS[self.loss]
            settings = {
                f"{ACTOR}.policy_loss.loss_mode": neighbour.loss_mode,
                f"{ACTOR}.loss_agg_mode": neighbour.aggregation,
                **neighbour.settings,
            }
            if (bounds := self.clip_bounds) is not None:
                settings |= {f"{ACTOR}.clip_ratio_low": bounds[0], f"{ACTOR}.clip_ratio_high": bounds[1]}
        if self.advantage is not None:
            settings["algorithm.adv_estimator"] = self.advantage
        if self.dynamic_sampling:
            # A length that differs is no answer that differs.
            metric = UNSHAPED_REWARD if self.settings.get("overlong_buffer") else "reward"
            settings |= {"algorithm.filter_groups.enable": True, "algorithm.filter_groups.metric": metric}
        return settings

    def problems(self) -> list[str]:
        """What the parts of the arm rule out together, in words that name its keys; empty for one that can train."""
        found = (
            [] if _NAME.fullmatch(self.name) else ["its name is no folder's: letters, digits, '.', '_', '+' and '-'"]
        )
        found += [
            f"{name}: {problem}"
            for name, value in self.settings.items()
            if (problem := name_problem(name) or value_problem(name, value))
        ]
        own = self.loss_settings()
        found += [
            f"{name}: the arm's loss, clip_low, clip_high or advantage sets it"
            for name in self.settings
            if any(key.lstrip("+") in own for key in verl_keys(name))
        ]
        if self.settings.get("outside_share") and self.settings.get("clip") is False:
            found.append("outside_share: with clip: false there are no bounds to set")
        if self.filter is None:
            if "outside_share" in self.settings:
                found.append(f"outside_share: the loss {self.loss} has bounds of its own, which stay as they are")
            return found
        if self.q == 0 and self.p0 == 0:
            found.append("with q = 0 and p0 = 0 the gain is 0 for ever: the filter never sees a log ratio")
        elif self.q > 0 and not _RATIOS[0] <= self.q / self.v <= _RATIOS[1]:
            found.append(
                f"q / v = {self.q / self.v:g} is outside {_RATIOS[0]:g} to {_RATIOS[1]:g}: the gain would be 0 or 1"
            )
        found += self.filter.contradictions()
        if self.estimator not in WITHOUT_THRESHOLD and math.isinf(self.kappa):
            found.append(f"estimator {self.estimator} with kappa = .inf is the plain Kalman filter: set a finite kappa")
        return found
