"""The JSON schema: a checker of its own accepts what studies say and refuses what they may not."""

import json
import math
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app
from sweep.input.yaml_source import load_yaml
from sweep.study.schema_export import study_schema

STUDIES = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))
GRID = {"kind": "grid", "q": [1e-6], "v": [1], "kappa": ["inf"]}
STUDY = {"name": "a", "space": GRID, "steps": 1}


@pytest.fixture(scope="module")
def checker():
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _as_an_editor_reads_it(value):
    """YAML's infinity, which JSON has not, as the text that stands in the file."""
    if isinstance(value, dict):
        return {key: _as_an_editor_reads_it(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_an_editor_reads_it(item) for item in value]
    return "inf" if isinstance(value, float) and math.isinf(value) else value


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_shipped_study_is_accepted(checker, path):
    assert [error.message for error in checker.iter_errors(_as_an_editor_reads_it(load_yaml(path).data))] == []


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [3, 4]},
        {"seeds": 3},
        {"space": {"kind": "arms", "arms": ["kpo-weak", {"name": "a", "loss": "gspo"}]}},
        {"space": {"kind": "mine.py:Mine", "anything": 1}},
        {"space": {"kind": "decoupled", "gain": {"low": 1e-3, "high": 0.1, "count": 3}, "threshold": ["inf", 0.1]}},
        {
            "space": {
                "kind": "optuna",
                "trials": 4,
                "objective": "accuracy",
                "parameters": {
                    "gain": {"low": 1e-3, "high": 0.1},
                    "p0": 0,
                    "kappa": {"value": 3, "when": {"loss": "iskpo"}},
                },
            }
        },
    ],
)
def test_what_a_study_may_say_is_accepted(checker, change):
    assert [error.message for error in checker.iter_errors(STUDY | change)] == []


@pytest.mark.parametrize(
    "change",
    [
        {"stepz": 1},
        {"steps": 0},
        {"seeds": 0},
        {"profile": "tyny"},
        {"eval": {"sample": 1}},
        {"space": GRID | {"q": [-1]}},
        {"space": GRID | {"q": []}},
        {"space": GRID | {"qq": [1]}},
        {"space": {key: value for key, value in GRID.items() if key != "kind"}},
        {"space": {"kind": "arms", "arms": ["kpo-wek"]}},
        {"space": {"kind": "optuna", "trials": 4, "parameters": {"gian": 1}}},
    ],
)
def test_what_it_may_not_say_is_underlined(checker, change):
    assert not checker.is_valid(STUDY | change)


def test_every_key_is_described():
    schema = study_schema()
    for name, definition in {"Study": schema, **schema["$defs"]}.items():
        for key, entry in definition.get("properties", {}).items():
            assert entry.get("description") or name == "ArmSpecification" or "$ref" in entry or key == "kind", (
                name,
                key,
            )


def test_it_is_printed_or_written_with_the_line_for_editors(tmp_path):
    printed = CliRunner().invoke(app, ["schema"])
    assert json.loads(printed.output) == study_schema()
    path = tmp_path / "study.schema.json"
    result = CliRunner().invoke(app, ["schema", "--output", str(path)])
    assert f"# yaml-language-server: $schema={path}" in result.output
    assert json.loads(path.read_text()) == study_schema()
    again = CliRunner().invoke(app, ["schema", "--output", str(path)])
    assert (again.exit_code, "--overwrite replaces it" in again.output) == (2, True)
    nowhere = CliRunner().invoke(app, ["schema", "--output", str(tmp_path / "no" / "folder.json")])
    assert (nowhere.exit_code, "cannot be written" in nowhere.output) == (2, True)
