"""A folder is resumed with the study that it was run with, or with one that adds to it."""

import shutil
from pathlib import Path

import pytest

from sweep.input.errors import UserError
from sweep.profiles.profile import resolve_profile
from sweep.search_spaces.own import own_files
from sweep.store.plan_file import keep_plan
from sweep.store.resumption import keep_own_files, kept_profile, study_to_resume
from sweep.store.study_folder import PLAN_FILE, STUDY_FILE
from sweep.store.study_tracking import StudyTracking
from sweep.study.plan import plan_trials
from sweep.study.study import load_study

STUDY = """\
name: example
space: {kind: grid, q: [1.0e-6, 1.0e-2], v: [1.0], kappa: [3]}
seeds: 1
steps: 2
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A study's folder as `run` leaves it before the first trial."""
    (tmp_path / STUDY_FILE).write_text(STUDY)
    study = load_study(tmp_path / STUDY_FILE)
    keep_plan(output=tmp_path, study=study, plan=plan_trials(study), profile=resolve_profile("tiny"))
    tracking = StudyTracking(output=tmp_path, study=study.name)
    tracking.start_study(name=study.name, question="", params={})
    tracking.log_study_files([tmp_path / STUDY_FILE, tmp_path / PLAN_FILE])
    return tmp_path


def test_the_same_study_is_taken_as_it_is(run: Path) -> None:
    assert study_to_resume(output=run, study_file=None, extend=False) == load_study(run / STUDY_FILE)
    assert kept_profile(run) == "tiny"
    # Comments and order are not the study.
    (run / STUDY_FILE).write_text("# again\nsteps: 2\n" + STUDY.replace("steps: 2\n", ""))
    assert study_to_resume(output=run, study_file=None, extend=False).steps == 2


def test_a_changed_study_is_refused_with_a_diff(run: Path) -> None:
    (run / STUDY_FILE).write_text(STUDY.replace("steps: 2", "steps: 3"))
    with pytest.raises(UserError, match="has changed since it was run") as error:
        study_to_resume(output=run, study_file=None, extend=False)
    assert "-steps: 2" in str(error.value)
    assert "+steps: 3" in str(error.value)
    with pytest.raises(UserError, match="these have changed: steps"):
        study_to_resume(output=run, study_file=None, extend=True)


def test_extend_takes_more_arms_and_seeds_and_keeps_the_old_file(run: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text(STUDY.replace("kappa: [3]", "kappa: [3, 1]").replace("seeds: 1", "seeds: 2"))
    with pytest.raises(UserError, match="--extend accepts more arms or seeds"):
        study_to_resume(output=run, study_file=more, extend=False)
    assert (run / STUDY_FILE).read_text() == STUDY
    assert len(plan_trials(study_to_resume(output=run, study_file=more, extend=True))) == 8
    assert (run / STUDY_FILE).read_bytes() == more.read_bytes()
    assert (run / "study.before_extension_1.yaml").read_text() == STUDY


@pytest.mark.parametrize(
    "doubtful",
    [
        "space: {kind: optuna, trials: 9, parameters: {q: {choices: [1.0, 2.0]}, v: 1}}",
        "space: {kind: optuna, trials: 1, parameters: {q: {choices: [2, 2.0]}, v: 1}}",
        "space: {kind: optuna, trials: 1, parameters: {q: {low: 1, high: 2, step: 3}, v: 1}}",
        "space: {kind: optuna, trials: 1, parameters: {loss: {choices: [iskpo]}, q: {choices: [1, 2]}, v: 1,"
        " kappa: {choices: [1, 2], when: {q: [1, 1.0]}}}}",
        "space: {kind: grid, q: [1.0], v: [1.0], kappa: [3]}\noverrides: {actor_rollout_ref.rollout.n: 1}",
    ],
)
def test_what_an_earlier_version_began_goes_on(run: Path, doubtful: str) -> None:
    text = f"name: example\n{doubtful}\nsteps: 2\n"
    for path in run.rglob(STUDY_FILE):
        path.write_text(text)
    with pytest.raises(UserError):
        load_study(run / STUDY_FILE)
    assert study_to_resume(output=run, study_file=None, extend=False) == load_study(run / STUDY_FILE, begun=True)
    with pytest.raises(UserError):
        study_to_resume(output=run, study_file=run / STUDY_FILE, extend=True)


def test_extend_refuses_to_lose_a_trial(run: Path) -> None:
    (run / STUDY_FILE).write_text(STUDY.replace("[1.0e-6, 1.0e-2]", "[1.0e-6, 2.0e-2]"))
    with pytest.raises(UserError, match=r"1 trials are gone or differ: Q0\.01_V1_k3_s0"):
        study_to_resume(output=run, study_file=None, extend=True)


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="was the study ever started"):
        kept_profile(tmp_path)


_OWN = """
from sweep.plan import Arm
from sweep.search_spaces import SearchSpace

class Mine(SearchSpace):
    count: int

    def size(self):
        return self.count

    def to_arms(self, *, defaults):
        return [Arm(name=f"g{n}", q=10.0**-n, v=1.0, kappa=3.0) for n in range(1, 1 + self.count)]
"""


def test_a_study_with_a_users_own_space_is_resumed_from_its_folder_alone(tmp_path: Path) -> None:
    elsewhere, output = tmp_path / "elsewhere", tmp_path / "output"
    (elsewhere / "spaces").mkdir(parents=True)
    output.mkdir()
    (elsewhere / "spaces" / "mine.py").write_text(_OWN)
    file = elsewhere / "study.yaml"
    file.write_text("name: own\nspace: {kind: 'spaces/mine.py:Mine', count: 2}\nsteps: 2\n")
    study = load_study(file)
    (output / STUDY_FILE).write_bytes(file.read_bytes())
    keep_own_files(study_file=file, study=study, output=output)
    keep_plan(output=output, study=study, plan=plan_trials(study), profile=resolve_profile("tiny"))
    tracking = StudyTracking(output=output, study=study.name)
    tracking.start_study(name=study.name, question="", params={})
    own = own_files(space=study.space, folder=output)
    tracking.log_study_files([output / STUDY_FILE, output / PLAN_FILE, *own])
    shutil.rmtree(elsewhere)
    resumed = study_to_resume(output=output, study_file=None, extend=False)
    assert [trial.key for trial in plan_trials(resumed)] == [trial.key for trial in plan_trials(study)]
    # The space is part of what was run: another one under the same name is a change.
    (output / "mine.py").write_text(_OWN.replace("10.0**-n", "5.0**-n"))
    with pytest.raises(UserError, match="has changed since it was run") as caught:
        study_to_resume(output=output, study_file=None, extend=False)
    assert "spaces/mine.py:Mine: what is in this file has changed" in str(caught.value)
