"""Wrong input to commands that other tests do not try: one clear line, a next step, exit code 2, nothing written."""

import json

import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app

NOT_A_STUDY = "give the --output of a run"


def _invoke(*arguments: object):
    return CliRunner(env={"RAY_ADDRESS": None}).invoke(app, [str(one) for one in arguments])


@pytest.mark.parametrize("verb", ["resume", "status", "stop", "report", "replay", "export", "ui", "logs"])
@pytest.mark.parametrize("kind", ["missing", "empty", "other", "file"])
def test_every_command_on_a_folder_without_a_study_says_what_to_give(tmp_path, verb, kind):
    output = tmp_path / "out"
    if kind == "file":
        output.write_text("text")
    elif kind != "missing":
        output.mkdir()
        if kind == "other":
            (output / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    result = _invoke(verb, output)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {output} {'holds no study' if output.is_dir() else 'is not a folder'}")
    assert NOT_A_STUDY in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no such file or directory; give a CSV file with the columns q, v, kappa, p0, rho0"),
        ("folder", "is a directory; give a CSV file with the columns"),
        (b"\x86\xff", "is no text, so no CSV file"),
    ],
)
def test_settings_that_are_no_table_are_named(tmp_path, content, expected):
    path = tmp_path / "settings.csv"
    if content == "folder":
        path.mkdir()
    elif content:
        path.write_bytes(content)
    result = _invoke("replay", tmp_path, "--settings", path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: --settings {path}: {expected}")
    assert "Errno" not in result.stderr


def test_imported_runs_cannot_be_resumed_and_the_message_says_what_can_be_done(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\0" + bytes(84))
    (tmp_path / "plan.json").write_text(json.dumps({"profile": "imported", "trials": []}))
    result = _invoke("resume", tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path} holds imported runs" in result.stderr
    assert f"iskpo-sweep report {tmp_path}" in result.stderr


@pytest.mark.parametrize("verb", ["run", "resume"])
def test_with_json_a_wrong_input_is_a_line_on_standard_output_as_well(tmp_path, verb):
    result = _invoke(verb, tmp_path / "none", "--json")
    assert result.exit_code == 2
    line = json.loads(result.stdout)
    assert (line["event"], line["exit_code"]) == ("error", 2)
    assert result.stderr == f"error: {line['message']}\n"


def test_quiet_and_json_exclude_each_other(tmp_path):
    result = _invoke("run", tmp_path / "none.yaml", "--json", "--quiet")
    assert result.exit_code == 2
    assert "--quiet and --json exclude each other" in json.loads(result.stdout)["message"]
