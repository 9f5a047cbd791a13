"""The JSON schema of a study file, from the models that check it, for editors that complete and underline.

pydantic describes what a model holds; what a study file may say is wider, since checks before the model's own turn
``3`` seeds into three and a name into an arm. `_WIDER` adds these. An editor knows a file's form and not, for example,
whether two arms are the same: `iskpo-sweep plan` has the last word.
"""

import inspect
import math
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from sweep.arms.paper import PAPER_ARMS
from sweep.arms.verl_settings import SHORT_NAMES
from sweep.profiles.profile import AUTO, available_profiles
from sweep.search_spaces import Registry
from sweep.search_spaces.decoupled import LogRange
from sweep.search_spaces.optuna_parameters import NAMES
from sweep.study.registered import Registered
from sweep.study.study import Study
from sweep.study.study_fields import MAXIMUM_TRIALS

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Infinity has no JSON: YAML's .inf is read as a number by some editors' checkers, and a bare inf as text.
_INFINITE = {"enum": ["inf", ".inf"]}
_SCALAR: Schema = {"type": ["number", "string", "boolean"]}
_DOTTED, _EACH = r"\.", "each arm with each of them"
# Model and key to what may stand there besides what the model holds.
_WIDER: dict[tuple[str, str], list[Schema]] = {
    ("Study", "seeds"): [{"type": "integer", "minimum": 1, "maximum": MAXIMUM_TRIALS}],
    ("Decoupled", "gain"): [{"$ref": "#/$defs/LogRange"}],
    ("Decoupled", "threshold"): [{"$ref": "#/$defs/LogRange"}],
    ("OptunaSpace", "objective"): [{"enum": ["accuracy", "clip_fraction", "realised_gain"]}],
}
_MAY_BE_INFINITE = {("Grid", "kappa"), ("ArmSpecification", "kappa"), ("Decoupled", "threshold")}
_ATTRIBUTE = re.compile(r"^    (\w+): ((?:.|\n {8,})+)", re.MULTILINE)


class _Generator(GenerateJsonSchema):
    """Without pydantic's warnings of a default that JSON has no word for, which is then left out."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  (pydantic's own attribute)


def study_schema() -> Schema:
    """The schema, JSON-ready, in the dialect of 2020-12."""
    spaces = [Registry.get(kind) for kind in Registry.kinds()]
    models: list[type[BaseModel]] = [Study, LogRange, Registered, *spaces]
    _, made = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, schema_generator=_Generator
    )
    definitions: dict[str, Schema] = made["$defs"]
    described = {model.__name__: model for model in _all_models(models)}
    for name, definition in definitions.items():
        if name in described:
            _describe(name, definition, attributes(described[name]))
    definitions["SearchSpace"] = {
        "description": "Where the arms come from.",
        "oneOf": [*({"$ref": f"#/$defs/{space.__name__}"} for space in spaces), _own_space()],
    }
    definitions["Study"]["properties"]["profile"]["enum"] = [AUTO, *available_profiles()]
    definitions["ArmList"]["properties"]["arms"]["items"] = {
        "anyOf": [{"$ref": "#/$defs/ArmSpecification"}, {"enum": [arm.name for arm in PAPER_ARMS]}]
    }
    _widen_optuna(definitions)
    for name, several in (("Grid", True), ("Decoupled", True), ("ArmList", True), ("ArmSpecification", False)):
        _add_settings(definitions[name], several=several)
    study = definitions.pop("Study")
    return {"$schema": _DIALECT, **study, "title": "iskpo-sweep study", "$defs": definitions}


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """Key to description, from the ``Attributes:`` of a model's docstring.

    >>> attributes(LogRange)["low"]
    'The smallest.'
    """
    found: dict[str, str] = {}
    for part in reversed(model.__mro__):
        _, _, section = inspect.cleandoc(part.__doc__ or "").partition("Attributes:\n")
        found |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(section)}
    return found


def editor_line(path: Path) -> str:
    """The first line of a study file by which editors with the YAML language server find the schema."""
    return f"# yaml-language-server: $schema={path}"


def _all_models(models: list[type[BaseModel]]) -> list[type[BaseModel]]:
    """The models and those inside them that have a class of their own in the same modules."""
    found = {model.__name__: model for model in models}
    for model in models:
        for part in model.__mro__:
            for value in vars(inspect.getmodule(part)).values():
                if inspect.isclass(value) and issubclass(value, BaseModel):
                    found.setdefault(value.__name__, value)
    from sweep.search_spaces.optuna_parameters import Parameter

    return [*found.values(), Parameter]


def _describe(name: str, definition: Schema, texts: dict[str, str]) -> None:
    definition["description"] = definition.get("description", "").partition("\n\n")[0].replace("\n", " ")
    definition.pop("title", None)
    properties: dict[str, Schema] = definition.get("properties", {})
    if "kind" in properties:
        definition["required"] = sorted({"kind", *definition.get("required", [])})
        texts = {"kind": "Kind of search space.", **texts}
    for key, schema in properties.items():
        schema.pop("title", None)
        _count_items(schema)
        if (name, key) in _MAY_BE_INFINITE:
            schema = properties[key] = _with_infinity(schema)
        if (name, key) in _WIDER:
            schema = properties[key] = _any_of(schema, *_WIDER[name, key])
        if key in texts:
            schema["description"] = texts[key].replace("``", "`")


def _any_of(schema: Schema, *others: Schema) -> Schema:
    outer: Schema = {key: schema[key] for key in ("default", "description") if key in schema}
    inner = {key: value for key, value in schema.items() if key not in outer}
    return {**outer, "anyOf": [*inner.get("anyOf", [inner]), *others]}


def _with_infinity(schema: Schema) -> Schema:
    if "items" in schema:
        return {**schema, "items": _any_of(schema["items"], _INFINITE)}
    return _any_of(schema, _INFINITE)


def _count_items(schema: Schema) -> None:
    """pydantic writes the least length of a tuple behind a validator as that of a text."""
    for part in (schema, *schema.get("anyOf", [])):
        if part.get("type") == "array" and "minLength" in part:
            part["minItems"] = part.pop("minLength")


def _own_space() -> Schema:
    return {
        "type": "object",
        "description": "A class in a file of yours, FILE.py:CLASS; it says which further keys there are.",
        "properties": {"kind": {"type": "string", "pattern": r"\.py:"}},
        "required": ["kind"],
    }


def _add_settings(definition: Schema, *, several: bool) -> None:
    """Keys that stand for verl's settings, by short name or with a dot, and no others."""

    def described(schema: Schema, meaning: str) -> Schema:
        whole = {"type": "array", "items": schema, "minItems": 1} if several else schema
        return {**whole, "description": f"{meaning}; {_EACH if several else 'of this arm alone'}."}

    for name, short in SHORT_NAMES.items():
        if short.words:
            definition["properties"][name] = described({"enum": [*short.words]}, short.meaning.capitalize())
            continue
        bound = {"exclusiveMinimum" if short.above else "minimum": short.lowest}
        below = {"exclusiveMaximum": short.below} if math.isfinite(short.below) else {}
        number = {"type": "integer" if short.whole else "number", **bound, **below}
        schema = _any_of(number, {"const": False}) if short.off else number
        definition["properties"][name] = described(schema, short.meaning.capitalize())
    definition["patternProperties"] = {_DOTTED: described(_SCALAR, "A setting of verl's, by its dotted key")}
    definition["additionalProperties"] = False


def _widen_optuna(definitions: dict[str, Schema]) -> None:
    parameters = definitions["OptunaSpace"]["properties"]["parameters"]
    parameters["additionalProperties"] = _any_of({"$ref": "#/$defs/Parameter"}, _SCALAR)
    parameters["propertyNames"] = {"anyOf": [{"enum": [*NAMES, *SHORT_NAMES]}, {"pattern": _DOTTED}]}
    parameters.pop("minLength", None)
    parameters["minProperties"] = 1
    when = definitions["Parameter"]["properties"]["when"]
    when["additionalProperties"] = _any_of(when["additionalProperties"], _SCALAR)
