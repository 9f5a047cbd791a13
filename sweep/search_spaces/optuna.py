"""Arms chosen by Optuna while the study runs; `sweep.engine.suggester` does the choosing.

.. code-block:: yaml

    space:
      kind: optuna
      sampler: tpe                          # or nsga2, gp, random
      sampler_seed: 0
      trials: 40
      objective: accuracy                   # or a list: [accuracy, clip_fraction, realised_gain]
      parameters:                           # either gain, threshold, kappa or q, v, kappa; see optuna_parameters.py
        gain: {low: 1e-4, high: 0.3, log: true}
        threshold: {low: 0.01, high: 3, log: true}
        kappa: 3

Accuracy and clip fraction are to be high, the realised gain low (`sweep.arms.objectives`; a replay has measures of
smoothness in place of accuracy). An arm's objectives are means over the study's seeds. With several objectives Optuna
looks for the arms that no other beats in all of them.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from iskpo.settings import FILTER_KEYS, THRESHOLD_FROM_DATA
from sweep.arms.arm import Arm
from sweep.arms.losses import ISKPO, NEIGHBOURS
from sweep.arms.objectives import Objective, current_name
from sweep.arms.verl_settings import (
    SHORT_NAMES,
    Value,
    is_setting,
    labels,
    name_part,
    name_problem,
    set_twice,
    typed,
    value_text,
)
from sweep.input.errors import did_you_mean
from sweep.input.fields import Distinct, NotEmpty
from sweep.input.schema_errors import Place
from sweep.search_spaces.base import AdaptiveSpace, ArmDefaults, register
from sweep.search_spaces.decoupled import process_and_measurement_noise
from sweep.search_spaces.optuna_parameters import NAMES, Parameter, ParameterField, value_problems

Sampler = Literal["tpe", "nsga2", "gp", "random"]
# Kappa where gain and threshold are searched over and kappa is not given.
_USUAL_KAPPA = 3.0
_MOST_CORNERS = 10_000
_NATURAL, _DIRECT = ("gain", "threshold"), ("q", "v")


def _objectives(value: Any) -> Any:
    given = tuple(value) if isinstance(value, list | tuple) else (value,) if isinstance(value, str) else value
    return tuple(map(current_name, given)) if isinstance(given, tuple) else given


@register("optuna")
class OptunaSpace(AdaptiveSpace):
    """What Optuna searches, with what and for how long.

    Attributes:
        sampler: ``tpe`` (a good start), ``nsga2`` (several objectives, many trials), ``gp`` (few, costly trials;
            parameters with ``when`` are sampled at random) or ``random``.
        sampler_seed: Seed of the sampler; the same seed and the same results give the same arms.
        objective: One or several of those in `sweep.arms.objectives`. Study files and folders that call `realised_gain`
            by its former name, `gain`, are still read.
        parameters: What is searched over.
    """

    kind: Literal["optuna"] = "optuna"
    sampler: Sampler = "tpe"
    sampler_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    objective: Annotated[tuple[Objective, ...], NotEmpty, Distinct, BeforeValidator(_objectives)] = ("accuracy",)
    parameters: Annotated[dict[str, ParameterField], NotEmpty]

    def ranges(self) -> dict[str, str]:
        """Each parameter's values in words."""
        return {name: parameter.text() for name, parameter in self.parameters.items()}

    def exists(self, name: str, values: Mapping[str, Value]) -> bool:
        """Whether a parameter exists, given the values of those above it."""
        return all(values.get(other) in wanted for other, wanted in self.parameters[name].when.items())

    def problems(self, *, defaults: ArmDefaults) -> list[tuple[Place, str]]:
        """Names, values, conditions and combinations that cannot be."""
        found = self._name_problems()
        for name, parameter in self.parameters.items():
            if name in NAMES or (is_setting(name) and name_problem(name) is None):
                found += [(("parameters", name, *place), text) for place, text in value_problems(name, parameter)]
            found += [(("parameters", name, "when", *place), text) for place, text in self._when_problems(name)]
        # Combinations are looked at once everything in them is right by itself.
        return found or self._combination_problems(defaults)

    def excess(self) -> str:
        """What is wrong with more trials than there are arms; "" where nothing is."""
        most = self._combinations()
        if self.trials <= most:
            return ""
        message = f"{self.trials:,} arms are more than the {most:,} that the parameters can be combined to"
        return f"{message}: some would be run twice"

    def _combinations(self) -> float:
        """How many different arms there are; infinity where a range has no steps."""
        # Only what has values to list can decide whether another parameter exists.
        found: list[tuple[dict[str, Value], float]] = [({}, 1)]
        for name, parameter in self.parameters.items():
            found = [
                ({**values, **more}, count * factor)
                for values, count in found
                for more, factor in self._branches(name, parameter, values)
            ]
        return sum(count for _, count in found)

    def _branches(
        self, name: str, parameter: Parameter, values: Mapping[str, Value]
    ) -> list[tuple[dict[str, Value], float]]:
        """Each value that a parameter can have beside those above it; a range, as the number of its values."""
        if not self.exists(name, values):
            return [({}, 1)]
        if parameter.values is None:
            return [({}, parameter.count)]
        return [({name: value}, 1) for value in parameter.values]

    def _name_problems(self) -> list[tuple[Place, str]]:
        found: list[tuple[Place, str]] = [
            (("parameters", name), f"there is no parameter of this name{did_you_mean(name, [*NAMES, *SHORT_NAMES])}")
            for name in self.parameters
            if name not in NAMES and not is_setting(name)
        ]
        settings = list(filter(is_setting, self.parameters))
        found += [
            (("parameters", name, "[key]"), problem)
            for number, name in enumerate(settings)
            if (problem := name_problem(name) or set_twice(name, settings[:number]))
        ]
        natural, direct = (
            [name for name in names if name in self.parameters] for names in (("gain", "threshold"), "qv")
        )
        if natural and direct:
            message = f"{' and '.join(direct)} say the same as gain and threshold: give one pair or the other"
            found += [(("parameters", name), message) for name in direct]
        if all(parameter.value is not None for parameter in self.parameters.values()):
            found.append((("parameters",), "every value is fixed, so there is nothing to search: use kind: arms"))
        return found

    def _when_problems(self, name: str) -> list[tuple[Place, str]]:
        names = list(self.parameters)
        above = names[: names.index(name)]
        found: list[tuple[Place, str]] = []
        for other, wanted in self.parameters[name].when.items():
            if other not in above:
                hint = f"{did_you_mean(other, above)}" if above else "; nothing stands above it"
                found.append(((other,), f"is not a parameter that stands above {name}{hint}"))
            elif (values := self.parameters[other].values) is None:
                found.append(((other,), "is a range: a condition needs a parameter with choices"))
            else:
                found += [
                    ((other,), f"{other} is never {value_text(value)!r}{did_you_mean(value, map(value_text, values))}")
                    for value in wanted
                    if value not in values
                ]
        return found

    def _combination_problems(self, defaults: ArmDefaults) -> list[tuple[Place, str]]:
        count = math.prod(len(parameter.ends) for parameter in self.parameters.values())
        if count > _MOST_CORNERS:
            return [(("parameters",), f"{count:,} combinations of choices are more than {_MOST_CORNERS:,}")]
        found: dict[str, tuple[Place, str]] = {}
        for values in self._corner_values():
            try:
                self._arm("corner", values, defaults)
            except _ImpossibleArmError as error:
                found.setdefault(error.key, (("parameters", *([error.key] if error.key else [])), str(error)))
            except ValueError as error:
                found.setdefault("", (("parameters",), str(error)))
            loss = values.get("loss", ISKPO)
            if loss != ISKPO and (without := [name for name in self.objective if name != "accuracy"]):
                message = f"the loss {loss} has no {' and no '.join(without)} to optimise"
                found.setdefault("objective", (("objective",), message))
        return list(found.values())

    def _corner_values(self) -> list[dict[str, Value]]:
        corners: list[dict[str, Value]] = [{}]
        for name, parameter in self.parameters.items():
            corners = [
                {**values, name: end} if self.exists(name, values) else values
                for values in corners
                for end in (parameter.ends if self.exists(name, values) else parameter.ends[:1])
            ]
        return corners

    def corners(self, *, defaults: ArmDefaults) -> list[Arm]:
        """The arms of every combination of choices and of ends of ranges."""
        return [self._arm(self._label(values), values, defaults) for values in self._corner_values()]

    def arm(self, *, number: int, values: Mapping[str, Value], defaults: ArmDefaults) -> Arm:
        """The arm of a trial.

        Args:
            number: Optuna's number of the trial, which begins the arm's name.
            values: The value of each parameter that exists.
            defaults: The study's.
        """
        label = self._label({name: values[name] for name in values if self.parameters[name].value is None})
        name = f"t{number:04d}_{label}"
        return self._arm(name if len(name) <= 80 else f"t{number:04d}", values, defaults)

    def _label(self, values: Mapping[str, Value]) -> str:
        words = labels(filter(is_setting, self.parameters))
        return "_".join(_part(words.get(name), name, value) for name, value in values.items())

    def _arm(self, name: str, values: Mapping[str, Value], defaults: ArmDefaults) -> Arm:
        given: dict[str, Any] = {name: value for name, value in values.items() if not is_setting(name)}
        given["settings"] = {name: typed(name, value) for name, value in values.items() if is_setting(name)}
        loss = given.pop("loss", ISKPO)
        if loss != ISKPO:
            for key in (*FILTER_KEYS, *_NATURAL):
                if key in given:
                    raise _ImpossibleArmError(key, f"the loss {loss} has no Kalman filter: add when: {{loss: {ISKPO}}}")
            clips = NEIGHBOURS[loss].clip is not None
            for key in ("clip_low", "clip_high"):
                if key in given and not clips:
                    raise _ImpossibleArmError(key, f"the loss {loss} clips nothing: name the losses that do with when")
            return Arm(name=name, loss=loss, dynamic_sampling=NEIGHBOURS[loss].dynamic_sampling, **given)
        for key in ("clip_low", "clip_high"):
            if key in given:
                raise _ImpossibleArmError(key, "the loss iskpo has bounds of its own: name other losses with when")
        pair = _NATURAL if {*_NATURAL} & {*self.parameters} else _DIRECT
        for key in pair:
            if key not in given:
                listed = key in self.parameters
                why = "exists only under a condition that does not always hold" if listed else "is missing"
                raise _ImpossibleArmError(key if listed else "", f"{key} {why}: every arm with a filter needs it")
        if pair == _NATURAL:
            gain, threshold = given.pop("gain"), given.pop("threshold")
            kappa = given.setdefault("kappa", _USUAL_KAPPA)
            estimator = given.get("estimator", defaults.estimator)
            if estimator in THRESHOLD_FROM_DATA:
                raise _ImpossibleArmError("threshold", f"{estimator} sets its threshold from data: search over q and v")
            if math.isinf(kappa):
                raise _ImpossibleArmError("kappa", "with gain and threshold kappa must be finite")
            given["q"], given["v"] = process_and_measurement_noise(
                gain=gain, threshold=threshold, kappa=kappa, estimator=estimator
            )
        return defaults.arm(name=name, **given)


def _part(word: str | None, name: str, value: Value) -> str:
    """What a parameter adds to an arm's name; `word` is that of a setting of verl's."""
    if word is not None:
        # As short as the others: the value itself is among the arm's parameters.
        rounded = value if isinstance(value, str | bool) else float(f"{value:.3g}")
        return name_part(word, rounded)
    return value if isinstance(value, str) else f"{name}{value:.3g}"


class _ImpossibleArmError(ValueError):
    """A combination that is no arm; `key` is the parameter to change, or empty."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
