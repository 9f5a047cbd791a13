"""The parameters that an Optuna study searches over, as they stand in a study file.

.. code-block:: yaml

    parameters:
      gain: {low: 1e-4, high: 0.3, log: true}        # a range
      estimator: {choices: [clip, huber, ema]}       # a choice
      p0: 0                                          # a fixed value
      kappa: {low: 1, high: 5, type: int, when: {estimator: [clip, huber]}}
      lr: {low: 1e-5, high: 1e-3, log: true}         # a setting of verl's, by short name or dotted key

``when`` makes a parameter exist only where one that stands above it has one of the given values; elsewhere the
parameter is left to its default, as if the study file did not name it.
"""

import math
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from iskpo.settings import CHOICES
from sweep.arms.losses import Advantage, Loss
from sweep.arms.verl_settings import Value, is_setting, value_problem, value_text
from sweep.input.errors import did_you_mean
from sweep.input.schema_errors import Place, is_begun, located_errors
from sweep.search_spaces.decoupled import GAIN_RANGE, KAPPA_RANGE, THRESHOLD_RANGE

# Lowest and highest value of each number; the lowest that are above 0 are there so that 0 itself is refused.
_TINY = 1e-300
NUMBERS: dict[str, tuple[float, float]] = {
    "gain": GAIN_RANGE,
    "threshold": THRESHOLD_RANGE,
    "q": (0.0, 1e300),
    "v": (_TINY, 1e300),
    "kappa": (KAPPA_RANGE[0], math.inf),
    "p0": (0.0, 1e300),
    "rho0": (-1e300, 1e300),
    "clip_low": (_TINY, 1e300),
    "clip_high": (_TINY, 1e300),
}
WORDS: dict[str, tuple[str, ...]] = {
    "loss": get_args(Loss),
    "advantage": get_args(Advantage),
    **CHOICES,
}
NAMES = (*NUMBERS, *WORDS)


class Parameter(BaseModel):
    """A range (``low``, ``high``), ``choices``, or a fixed ``value``; see the module.

    Attributes:
        low: Lowest value.
        high: Highest value.
        log: Search in logarithms.
        step: Distance between values; any value in between by default.
        type: ``float`` or ``int``.
        choices: The values to choose from.
        value: The one value.
        when: Name of a parameter above this one to the value, or list of values, with which this one exists.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    low: Annotated[float, Field(allow_inf_nan=False)] | None = None
    high: Annotated[float, Field(allow_inf_nan=False)] | None = None
    log: bool = False
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    type: Literal["float", "int"] = "float"
    choices: tuple[Value, ...] | None = None
    value: Value | None = None
    when: dict[str, tuple[Value, ...]] = {}

    @property
    def values(self) -> tuple[Value, ...] | None:
        """The values where they can be counted; None for a range."""
        if self.choices is not None:
            return self.choices
        return None if self.value is None else (self.value,)

    @property
    def ends(self) -> tuple[Value, ...]:
        """The choices, or both ends of the range."""
        if (values := self.values) is not None:
            return values
        assert self.low is not None
        assert self.high is not None
        return (self.low, self.high) if self.low < self.high else (self.low,)

    @property
    def count(self) -> float:
        """How many values there are; infinity for a range without steps."""
        if (values := self.values) is not None:
            return len(values)
        step = self.step or (1.0 if self.type == "int" else None)
        if step is None:
            return math.inf
        # In decimal, as Optuna counts: 0.3 is three steps of 0.1.
        low, high, step_size = (Decimal(str(number)) for number in (self.low or 0.0, self.high or 0.0, step))
        return int((high - low) // step_size) + 1

    def text(self) -> str:
        """In words."""
        if self.value is not None:
            words = f"{value_text(self.value)}, fixed"
        elif self.choices is not None:
            words = f"one of {', '.join(map(value_text, self.choices))}"
        else:
            low, high = (value_text(end) for end in (self.low or 0.0, self.high or 0.0))
            details = ["in logarithms"] * self.log + ["whole numbers"] * (self.type == "int")
            details += [f"steps of {self.step:g}"] if self.step else []
            words = ", ".join([f"{low} to {high}", *details])
        conditions = [f"{name} is {' or '.join(map(value_text, values))}" for name, values in self.when.items()]
        return f"{words}; only where {' and '.join(conditions)}" if conditions else words


def _parameter(value: Any, information: ValidationInfo) -> Any:
    if isinstance(value, Parameter):
        return value
    if not isinstance(value, dict):
        if not _is_scalar(value):
            raise ValueError("must be a value, {low, high} or {choices}")
        return {"value": value}
    found = _form_problems(value)
    if found := found or ([] if is_begun(information) else _doubtful(value)):
        raise located_errors(value, found)
    given = {key: item for key, item in value.items() if item is not None}
    if isinstance(given.get("choices"), list):
        given["choices"] = tuple(given["choices"])
    if isinstance(given.get("when"), dict):
        given["when"] = {
            key: tuple(item) if isinstance(item, list | tuple) else (item,) for key, item in given["when"].items()
        }
    return given


def _form_problems(value: dict[Any, Any]) -> list[tuple[Place, str]]:
    given = {key for key, item in value.items() if item is not None}
    forms = [form for form in ({"low", "high"}, {"choices"}, {"value"}) if given & form]
    if not forms:
        return [((), "says no values: give low and high, choices, or value")]
    if len(forms) > 1:
        return [((), "low and high, choices, and value exclude each other")]
    found: list[tuple[Place, str]] = [((key,), "this key is missing") for key in forms[0] - given]
    if "choices" in given:
        choices = value["choices"]
        if not isinstance(choices, list | tuple) or not choices:
            found.append((("choices",), "must be a list with at least one value"))
        elif len({str(choice) for choice in choices}) < len(choices):
            found.append((("choices",), "holds a value more than once"))
    if not {"low", "high"} & given:
        found += [
            ((key,), "goes with low and high alone")
            for key, usual in (("log", False), ("step", None), ("type", "float"))
            if key in given and value[key] != usual
        ]
    found += _scalar_problems(value)
    found += [
        ((key,), "must be a finite number")
        for key in ("low", "high", "step")
        if key in given and not _is_finite(value[key])
    ]
    return found or _range_problems({key: value[key] for key in given}) if "low" in given else found


def _range_problems(value: dict[str, Any]) -> list[tuple[Place, str]]:
    """What is wrong with a range whose ends are finite."""
    found: list[tuple[Place, str]] = []
    low, high = value["low"], value["high"]
    if low >= high:
        found.append((("low",), f"must be below high = {high:g}, got {low:g}"))
    if value.get("log") is True and low <= 0:
        found.append((("low",), f"must be > 0 to be searched in logarithms, got {low:g}"))
    if value.get("log") is True and "step" in value:
        found.append((("step",), "does not go with log"))
    if value.get("type") == "int":
        found += [
            ((key,), f"must be a whole number for type: int, got {value[key]:g}")
            for key in ("low", "high", "step")
            if key in value and value[key] != math.floor(value[key])
        ]
    return found


def _scalar_problems(value: dict[Any, Any]) -> list[tuple[Place, str]]:
    found: list[tuple[Place, str]] = []
    places: list[tuple[Place, Any]] = [(("value",), value["value"])] if value.get("value") is not None else []
    if isinstance(value.get("choices"), list | tuple):
        places += [(("choices", index), choice) for index, choice in enumerate(value["choices"])]
    if isinstance(value.get("when"), dict):
        for name, wanted in value["when"].items():
            several = isinstance(wanted, list | tuple)
            if several and (not wanted or len({str(item) for item in wanted}) < len(wanted)):
                found.append((("when", name), "must be a value, or a list of different ones"))
            places += [
                (("when", name, index) if several else ("when", name), item)
                for index, item in enumerate(wanted if several else [wanted])
            ]
    return found + [
        (place, "must be a number, a word, true or false") for place, item in places if not _is_scalar(item)
    ]


def _doubtful(value: dict[Any, Any]) -> list[tuple[Place, str]]:
    """What Optuna takes without a word, and nobody can mean; earlier versions took it too."""
    found: list[tuple[Place, str]] = []
    conditions = value["when"] if isinstance(value.get("when"), dict) else {}
    lists: list[tuple[Place, Any]] = [(("choices",), value.get("choices"))]
    lists += [(("when", name), wanted) for name, wanted in conditions.items()]
    for place, values in lists:
        # 2 and 2.0 are one value.
        if isinstance(values, list | tuple) and len(set(values)) < len(values):
            found.append((place, "holds a value more than once"))
    if (step := value.get("step")) is not None and step > value["high"] - value["low"]:
        message = (
            f"must not be larger than the range from {value['low']:g} to {value['high']:g}, which would be one value"
        )
        found.append((("step",), f"{message}, got {step:g}"))
    return found


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | float) and value == value


def value_problems(name: str, parameter: Parameter) -> list[tuple[Place, str]]:
    """Values that a parameter of this name cannot have, each with its place in the parameter."""
    found: list[tuple[Place, str]] = []
    keys: list[Place] = [("low",), ("high",)]
    if parameter.choices is not None:
        keys = [("choices", index) for index in range(len(parameter.choices))]
    elif parameter.value is not None:
        keys = [()]
    elif name in WORDS:
        return [((), f"{name} is no number: give choices ({', '.join(WORDS[name])})")]
    for place, value in zip(keys, parameter.ends, strict=False):
        if is_setting(name):
            if problem := value_problem(name, value):
                found.append((place, f"{name} {problem}, got {value_text(value)}"))
        elif name in WORDS:
            if value not in WORDS[name]:
                found.append((place, f"unknown {name} {value_text(value)!r}{did_you_mean(value, WORDS[name])}"))
        elif isinstance(value, str | bool):
            found.append((place, f"{name} must be a number, got {value_text(value)!r}"))
        elif not NUMBERS[name][0] <= value <= NUMBERS[name][1]:
            low, high = NUMBERS[name]
            bounds = "> 0" if low == _TINY else f">= {low:g}" if high >= 1e300 else f"between {low:g} and {high:g}"
            found.append((place, f"{name} must be {bounds}, got {value:g}"))
    return found


ParameterField = Annotated[Parameter, BeforeValidator(_parameter)]
