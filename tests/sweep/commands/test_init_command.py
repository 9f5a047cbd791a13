"""`iskpo-sweep init`: whatever is answered, the file that is written can be planned."""

import os
import pty
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app
from sweep.commands.init import COMPARISONS, write_study
from sweep.profiles.profile import available_profiles
from sweep.study.plan import plan_trials
from sweep.study.study import load_study


def _init(*arguments: object):
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("profile", ["auto", *available_profiles()])
def test_every_answer_makes_a_study_that_plans(tmp_path, comparison, profile):
    path = tmp_path / "new" / "study.yaml"
    trials = write_study(comparison=comparison, profile=profile, seeds=3, path=path)
    study = load_study(path)
    assert (study.profile, study.seeds) == (profile, (0, 1, 2))
    assert len(plan_trials(study)) == trials
    # Every key of a study that a newcomer meets is explained where it stands.
    assert path.read_text().count("#") > 15


def test_without_a_terminal_the_first_choices_are_taken(tmp_path):
    result = _init(tmp_path / "first.yaml")
    assert result.exit_code == 0
    assert "9 trials" in result.output
    assert load_study(tmp_path / "first.yaml").name == "first"


@pytest.mark.parametrize(("file", "name"), [("my study (2)", "my_study_2_"), ("κ étude", "tude"), ("x" * 80, "x" * 60)])
def test_a_file_of_any_name_makes_a_study_that_has_one(tmp_path, file, name):
    result = _init(tmp_path / f"{file}.yaml")
    assert result.exit_code == 0, result.output
    assert load_study(tmp_path / f"{file}.yaml").name == name


def test_in_a_terminal_three_questions_are_asked(tmp_path):
    ours, theirs = pty.openpty()
    os.write(ours, b"paper\n\n3\n")
    done = subprocess.run(
        [sys.executable, "-m", "sweep.cli", "init", str(tmp_path / "asked.yaml")],
        stdin=theirs, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("?") == 3
    study = load_study(tmp_path / "asked.yaml")
    assert next(arm.name for arm in study.arms) == "kpo-strong"
    assert (study.profile, len(study.seeds)) == ("auto", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare", "grd"], "did you mean 'grid'?"),
        (["--profile", "tyny"], "did you mean 'tiny'?"),
        (["--seeds", "0"], "must be a number of seeds from 1"),
        (["--name", "a b"], "may hold letters"),
        (["--steps", "0"], "steps: must be >= 1"),
    ],
)
def test_wrong_answers_leave_no_file(tmp_path, arguments, message):
    result = _init(tmp_path / "study.yaml", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_overwritten(tmp_path):
    (tmp_path / "study.yaml").write_text("mine")
    result = _init(tmp_path / "study.yaml")
    assert result.exit_code == 2
    assert "is not overwritten; name another file" in result.output
    assert (tmp_path / "study.yaml").read_text() == "mine"
