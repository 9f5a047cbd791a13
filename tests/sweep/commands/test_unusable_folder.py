"""Every command that reads an output folder, on folders that are none or hold half of one: one line, exit code 2."""

import os

import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app

READERS = ("resume", "status", "stop", "report", "replay", "ui", "export")


def _refusal(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stdout == ""
    return result.stderr


@pytest.mark.parametrize("verb", READERS)
def test_no_folder_a_file_or_an_empty_folder(tmp_path, verb):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for name, expected in (
        ("missing", "is not a folder; give the --output of a run"),
        ("file", "is not a folder; give the --output of a run"),
        ("empty", "holds no study (no mlflow.db); give the --output of a run"),
    ):
        assert expected in _refusal(verb, tmp_path / name)


@pytest.mark.parametrize("verb", READERS)
@pytest.mark.parametrize("content", [b"", b"not a database at all"])
def test_a_store_that_was_cut_off_or_damaged(tmp_path, verb, content):
    (tmp_path / "mlflow.db").write_bytes(content)
    assert "is no database that can be read" in _refusal(verb, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("plan", [None, "", "[]", "{}", '{"trials": 1}'])
def test_status_and_logs_without_a_plan(tmp_path, plan):
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\0")
    if plan is not None:
        (tmp_path / "plan.json").write_text(plan)
    assert "plan.json cannot be read" in _refusal("status", tmp_path)
    assert "holds no study (no readable plan.json); give the --output of a run" in _refusal("logs", tmp_path, "a_s0")


def test_the_newest_runs_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        database = tmp_path / "output" / f"run{number}" / "mlflow.db"
        database.parent.mkdir(parents=True)
        database.touch()
        os.utime(database, (number, number))
    message = _refusal("status", "output/run")
    assert message.endswith("give the --output of a run, such as output/run3, output/run2, output/run1\n")


def test_a_study_file_that_is_not_there_gets_the_nearest(tmp_path):
    (tmp_path / "first.yaml").touch()
    assert f"no such file; did you mean '{tmp_path / 'first.yaml'}'?" in _refusal("plan", tmp_path / "frist.yaml")
    assert _refusal("plan", tmp_path / "other").endswith("no such file\n")


@pytest.mark.parametrize("verb", READERS)
def test_a_name_that_is_too_long_or_leads_elsewhere(tmp_path, verb):
    assert "File name too long" in _refusal(verb, tmp_path / ("x" * 300))
    moved = tmp_path / "why?"
    moved.mkdir()
    (moved / "mlflow.db").write_bytes(b"SQLite format 3\0")
    assert "holds a ?, which ends the path" in _refusal(verb, moved)
    assert [path.name for path in tmp_path.rglob("*")] == ["why?", "mlflow.db"]
