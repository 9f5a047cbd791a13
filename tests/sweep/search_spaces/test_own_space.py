"""A search space in a user's own file."""

import shutil
import textwrap

import pytest

from sweep.input.errors import UserError
from sweep.search_spaces import own
from sweep.study.plan import plan_trials
from sweep.study.study import load_study

_STUDY = "name: own\nspace:\n  kind: my_space.py:Diagonal\n  gains: [1e-3, 1e-2]\nsteps: 1\n"
# The example of the module's docstring, as it stands there.
_EXAMPLE = own.__doc__.partition("code-block:: python\n\n")[2].partition("\nThe class's")[0]
_FILE = textwrap.dedent(_EXAMPLE)


@pytest.fixture
def write_space(tmp_path):
    def write(text: str = _FILE) -> None:
        (tmp_path / "my_space.py").write_text(text)

    return write


def test_the_documented_example_works_from_any_folder(write_study, write_space, tmp_path, monkeypatch):
    write_space()
    path = write_study(_STUDY)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    study = load_study(path)
    arms = study.arms
    assert [arm.name for arm in arms] == ["gain0.001", "gain0.01"]
    assert [trial.key for trial in plan_trials(study)] == ["gain0.001_s0", "gain0.01_s0"]
    assert all(arm.predicted_gain == pytest.approx(gain) for arm, gain in zip(arms, (1e-3, 1e-2), strict=True))
    assert load_study(path) == study


def test_two_folders_may_hold_files_of_the_same_name(write_study, write_space, tmp_path):
    write_space()
    first = load_study(write_study(_STUDY))
    other = tmp_path / "other"
    other.mkdir()
    (other / "my_space.py").write_text(_FILE.replace('f"gain{gain:g}"', 'f"other{gain:g}"'))
    (other / "study.yaml").write_text(_STUDY)
    assert load_study(other / "study.yaml").arms[0].name == "other0.001"
    assert first.arms[0].name == "gain0.001"


def test_a_wrong_key_of_an_own_space_is_reported_with_line_and_the_nearest(write_study, write_space):
    write_space()
    with pytest.raises(UserError, match=r"study.yaml:4: space.gain: unknown key; did you mean 'gains'"):
        load_study(write_study(_STUDY, replace={"gains": "gain"}))
    with pytest.raises(UserError, match=r"study.yaml:4: space.gains\[0\]: must be a number"):
        load_study(write_study(_STUDY, replace={"[1e-3,": "[much,"}))


def test_a_study_kept_with_its_file_is_the_same_study(write_study, write_space, tmp_path):
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "my_space.py").write_text(_FILE)
    path = write_study(_STUDY, replace={"my_space.py:": "spaces/my_space.py:"})
    study = load_study(path)
    kept = tmp_path / "kept"
    kept.mkdir()
    for file in (path, *own.own_files(space=study.space, folder=tmp_path)):
        shutil.copyfile(file, kept / file.name)
    assert load_study(kept / "study.yaml") == study


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"space.kind: .*my_space.py cannot be read: No such file"),
        ("import nonsense_that_is_not_there\n", r"space.kind: my_space.py:1 cannot be run: ModuleNotFoundError"),
        ("x = 1\ny = (\n", r"space.kind: my_space.py:2 cannot be run: SyntaxError"),
        ("raise SystemExit(3)\n", r"space.kind: my_space.py:1 cannot be run: SystemExit"),
        ("x = 1\n", r"space.kind: my_space.py holds no class that is a SearchSpace"),
        (_FILE.replace("Diagonal", "Diagnoal"), r"holds no search space 'Diagonal'; did you mean 'Diagnoal'"),
        (_FILE.replace("to_arms", "arms"), r"space.kind: Diagonal in my_space.py lacks to_arms"),
        (_FILE.replace("gain**2", "-1.0"), r"space: Diagonal fails: ValueError: arm gain0.001: q must be"),
        (_FILE.replace("len(self.gains)", "len(self.gain)"), r"space: Diagonal fails: AttributeError"),
        (_FILE.replace('f"gain{gain:g}"', '"same"'), r"space: two arms are called 'same'"),
        (_FILE.replace('f"gain{gain:g}"', 'f"../{gain:g}"'), r"space: arm ../0.001: its name is no folder's"),
        (_FILE.replace("len(self.gains)", "'two'"), r"space: Diagonal fails: TypeError"),
        (_FILE.replace("len(self.gains)", "3"), r"space: Diagonal fails: ValueError: to_arms returns 2 arms, and size"),
        (_FILE.replace("return [Arm(", "return [str("), r"space: Diagonal fails: TypeError"),
    ],
)
def test_a_file_that_is_wrong_is_a_message_and_no_traceback(write_study, write_space, text, message):
    if text is not None:
        write_space(text)
    with pytest.raises(UserError, match=message):
        load_study(write_study(_STUDY))
