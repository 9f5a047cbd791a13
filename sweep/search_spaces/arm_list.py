"""An explicit list of arms: parameters of the filter, and neighbours' losses beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from iskpo.settings import FILTER_KEYS, Estimator, Gradient, Numerics
from sweep.arms.arm import Arm
from sweep.arms.losses import ISKPO, NEIGHBOURS, Advantage, Loss, our_name
from sweep.arms.paper import PAPER_ARMS
from sweep.arms.verl_settings import set_twice
from sweep.input.errors import did_you_mean
from sweep.input.fields import (
    ClipBound,
    InitialLogRatio,
    InitialVariance,
    Kappa,
    List,
    MeasurementNoise,
    NotEmpty,
    ProcessNoise,
)
from sweep.input.schema_errors import Place, located_errors
from sweep.search_spaces.base import ArmDefaults, register
from sweep.search_spaces.fitted import fitted_entries, table_file
from sweep.search_spaces.setting_keys import WithAxes, WithSettings


class ArmSpecification(WithSettings):
    """One entry of the list; see `sweep.arms.arm.Arm`. What is left out is the study's, and no clipping.

    With the loss ``iskpo`` an entry has ``q`` and ``v``, or ``fitted``, the arm of an earlier study whose log ratios
    say them (`sweep.search_spaces.fitted`), and may have the filter's other keys; with another loss
    (`sweep.arms.losses`) it has none of them, and may have ``clip_low`` and ``clip_high`` where that loss clips. With
    any loss it may have settings of verl's (`sweep.search_spaces.setting_keys`).
    """

    # Part of folder names on every platform.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)]
    fitted: Annotated[str, Field(min_length=1)] | None = None
    q: ProcessNoise | None = None
    v: MeasurementNoise | None = None
    kappa: Kappa | None = None
    p0: InitialVariance | None = None
    rho0: InitialLogRatio | None = None
    gradient: Gradient | None = None
    numerics: Numerics | None = None
    estimator: Estimator | None = None
    state_kappa: Kappa | None = None
    loss: Loss = ISKPO
    advantage: Advantage | None = None
    dynamic_sampling: bool | None = None
    clip_low: ClipBound | None = None
    clip_high: ClipBound | None = None


def _entry(value: Any) -> Any:
    """A bare name stands for the paper's configuration of that name; the keys of an entry must be those of its loss."""
    if isinstance(value, str):
        for arm in PAPER_ARMS:
            if arm.name == value:
                return {"name": arm.name, "q": arm.q, "v": arm.v, "kappa": arm.kappa}
        valid = [arm.name for arm in PAPER_ARMS]
        raise ValueError(f"no arm of the paper is called {value!r}{did_you_mean(value, valid)}")
    if isinstance(value, dict) and (found := _keys_against_loss(value)):
        raise located_errors(value, found)
    return value


def _keys_against_loss(entry: dict[Any, Any]) -> list[tuple[Place, str]]:
    loss = entry.get("loss", ISKPO)
    if loss == ISKPO:
        missing: list[tuple[Place, str]] = [
            ((key,), "must be a number, got nothing" if key in entry else "this key is missing")
            for key in ("q", "v")
            if entry.get(key) is None
        ]
        return missing + [
            ((key,), "the loss iskpo has bounds of its own: set eps_low, eps_high or clip")
            for key in ("clip_low", "clip_high")
            if entry.get(key) is not None
        ]
    if not isinstance(loss, str) or loss not in NEIGHBOURS:
        known = our_name(loss) if isinstance(loss, str) else None
        hint = f": here it is called {known!r}" if known else did_you_mean(loss, get_args(Loss))
        return [(("loss",), f"unknown loss {loss!r}{hint}")]
    found: list[tuple[Place, str]] = [
        ((key,), f"the loss {loss} has no Kalman filter: leave this key out, or set loss: iskpo")
        for key in ("fitted", *FILTER_KEYS)
        # What is fitted has brought these two.
        if entry.get(key) is not None and not (key in ("q", "v") and entry.get("fitted"))
    ]
    if NEIGHBOURS[loss].clip is None:
        found += [
            ((key,), f"the loss {loss} clips nothing: leave this key out")
            for key in ("clip_low", "clip_high")
            if entry.get(key) is not None
        ]
    return found


@register("arms")
class ArmList(WithAxes):
    """The arms as listed; where there are settings of verl's beside the list, each arm with each of them.

    Attributes:
        arms: Entries: a mapping, or the bare name of one of the paper's configurations.
        traces: Output folder of an earlier study, for entries with ``fitted``.
    """

    kind: Literal["arms"] = "arms"
    arms: Annotated[tuple[Annotated[ArmSpecification, BeforeValidator(_entry)], ...], List, NotEmpty]
    traces: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _fit(cls, data: Any, information: ValidationInfo) -> Any:
        if not isinstance(data, Mapping):
            return data
        folder = (information.context or {}).get("folder")
        entries, found = fitted_entries(data.get("arms"), traces=data.get("traces"), folder=folder)
        if found:
            raise located_errors(data, found)
        return {**data, "arms": entries} if data.get("traces") else data

    def size(self) -> int:
        """Length of the list, times that of each list of settings."""
        return len(self.arms) * self.combinations

    def to_arms(self, *, defaults: ArmDefaults) -> list[Arm]:
        """One arm an entry and combination of settings, settings outermost."""
        return self.crossed(_arm(entry, defaults) for entry in self.arms)

    def problems(self, *, defaults: ArmDefaults) -> list[tuple[Place, str]]:
        """Settings that an entry has and the list beside it too."""
        return [
            (("arms", index, name), f"the space sets it for every arm: {problem}")
            for index, entry in enumerate(self.arms)
            for name in entry.settings
            if (problem := set_twice(name, self.settings))
        ]

    def files(self, *, folder: Path | None) -> list[Path]:
        """The table that the fitted arms' numbers come from."""
        return [] if self.traces is None else [table_file(self.traces, folder=folder)]

    def location(self, index: int) -> tuple[str | int, ...]:
        """The entry of this arm."""
        return ("arms", index % len(self.arms))


def _arm(entry: ArmSpecification, defaults: ArmDefaults) -> Arm:
    sampling = entry.dynamic_sampling
    if entry.loss != ISKPO:
        return Arm(
            name=entry.name,
            loss=entry.loss,
            advantage=entry.advantage,
            dynamic_sampling=NEIGHBOURS[entry.loss].dynamic_sampling if sampling is None else sampling,
            clip_low=entry.clip_low,
            clip_high=entry.clip_high,
            settings=entry.settings,
        )
    own = {key: getattr(entry, key) for key in FILTER_KEYS}
    return defaults.arm(
        name=entry.name, **own, advantage=entry.advantage, dynamic_sampling=bool(sampling), settings=entry.settings
    )
