"""MkDocs hook: writes the reference from what the program itself says, so that it cannot fall behind."""

import inspect
from collections.abc import Iterator
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for name, lines in (("commands", _commands()), ("study-file", _study_file()), ("python", _python())):
        files.append(File.generated(config, f"reference/{name}.md", content="\n".join(lines) + "\n"))
    return files


def _commands() -> Iterator[str]:
    from typer.main import get_command

    from sweep.commands.cli import app
    from sweep.commands.cli import ENVIRONMENT, EXIT_CODES

    group: Any = get_command(app)
    yield "# Commands\n\nWhat `iskpo-sweep COMMAND --help` says, of all commands.\n"
    yield "| exit code | meaning |\n| --- | --- |"
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    yield "\n| environment variable | what it does |\n| --- | --- |"
    yield from (f"| `{name}` | {meaning} |" for name, meaning in ENVIRONMENT.items())
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            for inner, below in command.commands.items():
                yield from _command(f"{name} {inner}", below)
        else:
            yield from _command(name, command)


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"\n## {name}\n\n{inspect.cleandoc(command.help or '')}\n"
    rows = [parameter for parameter in command.params if parameter.name != "help"]
    if rows:
        yield "| argument or option | meaning |\n| --- | --- |"
    for parameter in rows:
        is_flag = getattr(parameter, "is_flag", False)
        names = ", ".join(parameter.opts) if parameter.param_type_name == "option" else ""
        metavar = "" if is_flag else parameter.metavar or parameter.name.upper()
        text = (parameter.help or "").replace("|", "\\|")
        yield f"| `{f'{names} {metavar}'.strip().replace('|', ' or ')}` | {text} |"
    if command.epilog:
        yield "\n```text\n" + command.epilog + "\n```"


def _study_file() -> Iterator[str]:
    from sweep.study.schema_export import study_schema

    schema = study_schema()
    definitions = schema["$defs"]
    yield "# Study file\n"
    yield "Every key, from the schema that `iskpo-sweep schema` prints for editors. Unknown keys are refused. `inf` stands"
    yield "for no clipping wherever a threshold can be given.\n"
    yield "## Top level\n"
    yield from _keys(schema)
    titles = {
        "Evaluation": "eval", "TraceLimit": "traces", "Grid": "space, kind: grid", "ArmList": "space, kind: arms",
        "ArmSpecification": "an arm of kind: arms", "Decoupled": "space, kind: decoupled",
        "LogRange": "a range of kind: decoupled", "OptunaSpace": "space, kind: optuna",
        "Parameter": "a parameter of kind: optuna",
    }  # fmt: skip
    for name, title in titles.items():
        yield f"\n## {title}\n\n{definitions[name].get('description', '')}\n"
        yield from _keys(definitions[name])
    yield "\nA `kind` of your own, `FILE.py:CLASS`, has the keys that its class has: see [recipes](../recipes.md)."


def _keys(schema: dict[str, Any]) -> Iterator[str]:
    yield "| key | what it is | values | without it |\n| --- | --- | --- | --- |"
    required = schema.get("required", [])
    for key, entry in schema["properties"].items():
        default = "**needed**" if key in required else f"`{_plain(entry.get('default'))}`"
        yield f"| `{key}` | {entry.get('description', '')} | {_values(entry)} | {default} |"


def _plain(value: Any) -> str:
    return {None: "none", True: "true", False: "false"}.get(value, str(value)) if _hashable(value) else str(value)


def _hashable(value: Any) -> bool:
    return not isinstance(value, dict | list) and not (isinstance(value, float | int) and not isinstance(value, bool))


def _values(entry: dict[str, Any]) -> str:
    if "anyOf" in entry:
        return " or ".join(dict.fromkeys(_values(one) for one in entry["anyOf"] if one.get("type") != "null"))
    if "$ref" in entry:
        return "a mapping"
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{entry['const']}`"
    if entry.get("type") == "array":
        return f"a list of {_values(entry.get('items', {}))}"
    bounds = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{words} {entry[name]:g}" for name, words in bounds.items() if name in entry]
    kinds = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
    kind = entry.get("type")
    name = "number, text, true or false" if isinstance(kind, list) else kinds.get(str(kind), "a mapping")
    return " ".join([name, *limits])


def _python() -> Iterator[str]:
    import importlib

    import iskpo
    import sweep

    yield "# Python\n\n## sweep\n\nStudies that have run, as tables; see [notebooks](../notebooks.md).\n"
    yield from _object("sweep.load", sweep.load)
    yield from _object("sweep.RecordedStudy", sweep.RecordedStudy)
    for name, value in vars(sweep.RecordedStudy).items():
        if not name.startswith("_") and getattr(value, "func", None):
            yield f"\n`RecordedStudy.{name}`: {' '.join((inspect.getdoc(value.func) or '').split())}"
    yield "\n## iskpo\n\nThe algorithm, with torch and numpy alone.\n"
    for name in iskpo.__all__:
        yield from _object(f"iskpo.{name}", getattr(iskpo, name))
    yield "\n## reports.figures\n\nEach draws on axes that you give, and returns them.\n"
    figures = importlib.import_module("reports.figures")
    for name in figures.__all__:
        yield from _object(f"reports.figures.{name}", getattr(figures, name))


def _object(name: str, value: Any) -> Iterator[str]:
    text = inspect.getdoc(value) if inspect.isclass(value) or inspect.isfunction(value) else None
    yield f"\n### {name}\n"
    if inspect.isfunction(value):
        yield f"```python\n{name.rpartition('.')[2]}{inspect.signature(value)}\n```\n"
    yield f"```text\n{text or repr(value)}\n```"
