"""Turns pydantic's findings about a YAML file, and our own, into messages with line, key and the nearest valid key."""

import typing
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, ValidationError

from sweep.input.errors import did_you_mean
from sweep.input.yaml_source import Location, Problem, YamlSource

Place = tuple[str | int, ...]
_BEGUN = "begun"
_Model = TypeVar("_Model", bound=BaseModel)

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "finite_number": "a finite number",
}
_COMPARISONS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}


def validate(model: type[_Model], source: YamlSource, *, begun: bool = False) -> _Model:
    """Make a model from a YAML file.

    Args:
        model: The model.
        source: The file.
        begun: Whether an earlier version took this file and began with it: what is refused since then is taken.

    Raises:
        UserError: Every problem of the file.
    """
    problems = list(source.problems)
    try:
        made = model.model_validate(source.data, context={"folder": source.path.parent, _BEGUN: begun})
    except ValidationError as error:
        problems += [_problem(details, model, source) for details in error.errors(include_url=False)]
        raise source.error(problems) from None
    if problems:
        raise source.error(problems)
    return made


def is_begun(information: ValidationInfo) -> bool:
    """Whether the file that is validated was taken by an earlier version; see `validate`."""
    return bool((information.context or {}).get(_BEGUN))


def located_errors(value: Any, found: list[tuple[Place, str]]) -> ValidationError:
    """Problems that our own checks found, each with its place below the value, as one error of pydantic's kind."""
    return ValidationError.from_exception_data(
        "study",
        [
            InitErrorDetails(
                type=PydanticCustomError("study", "{message}", {"message": message}), loc=where, input=value
            )
            for where, message in found
        ],
    )


def _problem(details: ErrorDetails, model: type[BaseModel], source: YamlSource) -> Problem:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    where: Location = tuple(part for part in details["loc"] if part != "[key]")
    if kind == "extra_forbidden":
        valid = _keys(model, where[:-1], source)
        return Problem(where, f"unknown key{did_you_mean(where[-1], valid)}", at_key=True)
    if kind == "missing":
        return Problem(where, "this key is missing")
    at_key = details["loc"] != where
    if kind in _TYPES:
        return Problem(where, f"must be {_TYPES[kind]}, got {_shown(value)}", at_key)
    if kind in _COMPARISONS:
        name, sign = _COMPARISONS[kind]
        return Problem(where, f"must be {sign} {context[name]:g}, got {_shown(value)}", at_key)
    if kind == "literal_error":
        valid = [word.strip("' ") for word in context["expected"].replace(" or ", ",").split(",")]
        return Problem(where, f"unknown value {_shown(value)}{did_you_mean(value, valid)}", at_key)
    if kind == "string_pattern_mismatch":
        message = f"may hold letters, digits, '.', '_' and '-' and starts with a letter or digit, got {_shown(value)}"
        return Problem(where, message, at_key)
    if kind == "too_short":
        return Problem(where, "must not be empty", at_key)
    if kind == "string_too_long":
        return Problem(where, f"must be at most {context['max_length']} characters long", at_key)
    if kind == "value_error":
        return Problem(where, _with_value(str(context["error"]), value), at_key)
    return Problem(where, details["msg"], at_key)


def _with_value(message: str, value: Any) -> str:
    return f"{message}, got {_shown(value)}" if message.startswith("must be") else message


def _shown(value: Any) -> str:
    """A value as the user may have written it, cut short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys(model: type[BaseModel], where: Location, source: YamlSource) -> list[str]:
    """The valid keys of the mapping at a place, found by walking the model and the data side by side."""
    current: Any = model
    data = source.data
    for part in where:
        data = data[part]
        # A name in a mapping of names to models is no field: the model is the mapping's.
        if isinstance(part, str) and part in current.model_fields:
            choose = getattr(current, "model_at", None)  # of a model whose data choose the model below
            chosen = choose(part, data, folder=source.path.parent) if choose else None
            current = chosen or _inner(current.model_fields[part].annotation)
        if current is None:
            return []
    return list(current.model_fields)


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as ``tuple[Annotated[Model, ...], ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in typing.get_args(annotation):
        if (found := _inner(part)) is not None:
            return found
    return None
