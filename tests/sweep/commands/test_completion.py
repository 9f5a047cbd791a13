"""The tab key: what a shell is told, by the same call that its completion script makes."""

import json
import os
import subprocess
import sys

import pytest

from sweep.commands.arguments import sign_of_life
from sweep.commands.cli import EXIT_CODES, app
from sweep.profiles.profile import available_profiles


@pytest.fixture
def folder(tmp_path):
    """A study file, a folder of studies, a run and something else."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "one.yaml").touch()
    (tmp_path / "studies" / "notes.txt").touch()
    (tmp_path / "mine.yaml").touch()
    for name in ("output/first", "output/empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "output" / "first" / "mlflow.db").touch()
    trials = [{"key": key} for key in ("kpo-strong_s0", "kpo-weak_s0")]
    (tmp_path / "output" / "first" / "plan.json").write_text(json.dumps({"trials": trials}))
    return tmp_path


def _complete(line: str, *, cwd) -> list[str]:
    """What bash would offer at the end of a line."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-m", "sweep.cli"],
        cwd=cwd,
        env={
            **os.environ,
            "_ISKPO_SWEEP_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "PYTHONPATH": os.getcwd(),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("iskpo-sweep pl", ["plan"]),
        ("iskpo-sweep run m", ["mine.yaml", "maths_smoke"]),
        ("iskpo-sweep plan studies/", ["studies/one.yaml"]),
        ("iskpo-sweep run s", ["studies/", "smoke", "smoke_arms", "stability"]),
        ("iskpo-sweep status ", ["output/first/", "output/", "studies/"]),
        ("iskpo-sweep report output/e", ["output/empty/"]),
        ("iskpo-sweep logs output/first kpo-w", ["kpo-weak_s0"]),
        ("iskpo-sweep replay output/first --trial kpo-s", ["kpo-strong_s0"]),
        ("iskpo-sweep logs nowhere ", []),
        ("iskpo-sweep run mine.yaml --profile q", [name for name in available_profiles() if name.startswith("q")]),
        ("iskpo-sweep export output/first --format p", ["parquet"]),
        ("iskpo-sweep init --compare g", ["grid"]),
    ],
)
def test_the_tab_key_offers_what_fits(folder, line, expected):
    assert _complete(line, cwd=folder) == expected


def test_every_command_teaches_by_examples_that_exist_and_by_exit_codes():
    from typer.main import get_command

    commands = dict(get_command(app).commands)
    assert len(commands) >= 17
    commands |= {f"data {name}": command for name, command in commands.pop("data").commands.items()}
    for name, command in commands.items():
        assert "Examples:\n  iskpo-sweep " + name in command.epilog, name
        assert "Exit codes:" in command.epilog
        for line in command.epilog.splitlines():
            # 78 columns, so that no terminal of 80 breaks an example that is to be copied.
            assert len(line) <= 78, line
            words = line.split("#")[0].split()
            if words[:1] == ["iskpo-sweep"]:
                options = {option for parameter in command.params for option in parameter.opts}
                assert {word for word in words if word.startswith("-")} <= options, line
    assert set(EXIT_CODES) == {0, 1, 2, 130}


def test_a_command_that_reads_for_seconds_says_so_to_people_alone(monkeypatch, capsys):
    for terminal, expected in ((True, "reading x ...\n"), (False, "")):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        sign_of_life("reading x")
        assert capsys.readouterr().err == expected
