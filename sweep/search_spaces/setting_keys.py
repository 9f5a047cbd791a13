"""Keys of a search space that stand for verl's settings: its arms are crossed with them, or one arm has them.

.. code-block:: yaml

    space:
      kind: arms
      arms: [kpo-strong, {name: grpo, loss: grpo, temperature: 0.9}]   # an arm's own
      lr: [1e-5, 3e-5]                                                 # each arm with each of them
      actor_rollout_ref.actor.optim.weight_decay: [0, 0.1]             # any setting of verl's, by its dotted key

`sweep.arms.verl_settings` has the short names, and what may not be set.
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from sweep.arms.arm import Arm
from sweep.arms.verl_settings import (
    SHORT_NAMES,
    Value,
    is_setting,
    labels,
    name_part,
    name_problem,
    set_twice,
    value_problem,
)
from sweep.input.errors import did_you_mean
from sweep.input.schema_errors import Place, located_errors
from sweep.search_spaces.base import SearchSpace


@dataclass(frozen=True)
class _Given:
    """What a key that is none of a model's own says, with the other keys that are none, for the check that follows."""

    name: str
    value: Any
    before: tuple[str, ...]
    model: type["WithSettings"]


def _checked(given: _Given) -> Any:
    if not is_setting(given.name):
        valid = [*given.model.model_fields, *SHORT_NAMES]
        raise located_errors(given.value, [(("[key]",), f"unknown key{did_you_mean(given.name, valid)}")])
    if problem := name_problem(given.name) or set_twice(given.name, filter(is_setting, given.before)):
        raise located_errors(given.value, [(("[key]",), problem)])
    if found := (_list_problems if given.model.several else _value_problems)(given.name, given.value):
        raise located_errors(given.value, found)
    return tuple(given.value) if given.model.several else given.value


def _value_problems(name: str, value: Any) -> list[tuple[Place, str]]:
    problem = value_problem(name, value)
    return [((), f"{problem}, got {value!r}")] if problem else []


def _list_problems(name: str, values: Any) -> list[tuple[Place, str]]:
    if not isinstance(values, list | tuple):
        return [((), f"must be a list, for example [{values}]")]
    if not values:
        return [((), "must not be empty")]
    found: list[tuple[Place, str]] = []
    for index, value in enumerate(values):
        if value in values[:index]:
            found.append(((index,), f"holds {value} more than once"))
        found += [((index,), message) for _, message in _value_problems(name, value)]
    return found


class WithSettings(BaseModel):
    """Base of models with keys of their own and, beside these, any setting of verl's."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(_checked)]]

    # Whether such a key has a list of values.
    several: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _name_settings(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        own = [str(key) for key in data if key not in cls.model_fields]
        return {
            key: value if key in cls.model_fields else _Given(str(key), value, tuple(own[: own.index(str(key))]), cls)
            for key, value in data.items()
        }

    @property
    def settings(self) -> dict[str, Any]:
        """Name to value, or to values, as given."""
        return dict(self.__pydantic_extra__)


class WithAxes(SearchSpace, WithSettings):
    """Base of spaces whose arms are crossed with settings of verl's."""

    several: ClassVar[bool] = True

    @property
    def combinations(self) -> int:
        """How often each arm is there."""
        return math.prod(len(values) for values in self.settings.values())

    def crossed(self, arms: Iterable[Arm]) -> list[Arm]:
        """Each arm with each combination of settings, which name it; settings outermost, in the order of their keys."""
        arms, words = list(arms), labels(self.settings)
        crossed = []
        for values in itertools.product(*self.settings.values()):
            chosen: dict[str, Value] = dict(zip(self.settings, values, strict=True))
            ending = "".join(f"_{name_part(words[name], value)}" for name, value in chosen.items())
            crossed += [
                replace(arm, name=f"{arm.name}{ending}", settings={**arm.settings, **chosen}) if chosen else arm
                for arm in arms
            ]
        return crossed
