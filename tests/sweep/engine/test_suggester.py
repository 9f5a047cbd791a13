"""Optuna's ask and tell over a real storage: nothing is lost or doubled, and the seed decides."""

import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from sweep.engine.suggester import OptunaSuggester
from sweep.input.errors import UserError
from sweep.search_spaces import ArmDefaults, OptunaSpace

_ROOT = Path(__file__).parents[3]
_PARAMETERS = {
    "estimator": {"choices": ["clip", "huber"]},
    "gain": {"low": 1e-4, "high": 0.3, "log": True},
    "threshold": {"low": 0.01, "high": 3.0, "log": True},
    "kappa": {"low": 1, "high": 4, "type": "int", "when": {"estimator": "huber"}},
}


def _space(**changes) -> OptunaSpace:
    return OptunaSpace.model_validate({"trials": 14, "parameters": _PARAMETERS, **changes})


def _open(folder, space: OptunaSpace | None = None) -> OptunaSuggester:
    return OptunaSuggester(
        space=space or _space(), defaults=ArmDefaults(), storage_path=folder / "optuna.db", study_name="s"
    )


def _metrics(arm) -> dict[str, float]:
    """A made-up study: best at a gain of 1 % and a threshold of 0.3."""
    distance = abs(math.log10(arm.predicted_gain / 0.01)) + abs(math.log10(arm.predicted_threshold / 0.3))
    return {"accuracy": -distance, "clip_fraction": 0.1 / arm.predicted_threshold, "realised_gain": arm.predicted_gain}


def _run(suggester: OptunaSuggester, *, most: int = 1000) -> list:
    arms = []
    while len(arms) < most and (asked := suggester.ask()) is not None:
        number, arm = asked
        arms.append(arm)
        suggester.tell(number=number, metrics=_metrics(arm))
    return arms


def _kept(folder) -> list[optuna.trial.FrozenTrial]:
    """What Optuna itself, and so its dashboard, reads from the file."""
    return optuna.load_study(study_name="s", storage=f"sqlite:///{folder}/optuna.db").get_trials()


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
def test_a_seed_gives_the_same_arms_whether_or_not_the_process_dies_in_between(tmp_path, sampler):
    # A Gaussian process takes a second for each arm after the tenth.
    objective = ["accuracy"] if sampler == "gp" else ["accuracy", "clip_fraction", "realised_gain"]
    space = _space(sampler=sampler, objective=objective, trials=12)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = _run(_open(whole, space))
    assert len(expected) == 12
    arms = []
    for most in (3, 100):
        suggester = _open(broken, space)
        arms += _run(suggester, most=most)
        # Handed out and never told: the next process begins with it.
        suggester.ask()
    assert arms == expected
    assert [trial.state.name for trial in _kept(broken)] == ["COMPLETE"] * 12
    assert [trial.params for trial in _kept(broken)] == [trial.params for trial in _kept(whole)]
    other = tmp_path / "other"
    other.mkdir()
    assert _run(_open(other, _space(sampler=sampler, sampler_seed=1)), most=1) != expected[:1]


def test_samplers_learn_and_conditions_hold(tmp_path):
    arms = _run(_open(tmp_path, _space(trials=45)))
    assert len({arm.name for arm in arms}) == 45
    early, late = ([_metrics(arm)["accuracy"] for arm in part] for part in (arms[:15], arms[-15:]))
    assert sorted(late)[7] > sorted(early)[7]
    trials = _kept(tmp_path)
    assert {"kappa" in trial.params for trial in trials} == {True, False}
    assert all(("kappa" in trial.params) == (trial.params["estimator"] == "huber") for trial in trials)


def test_nsga2_goes_on_to_its_next_generation_in_another_process(tmp_path):
    space = _space(sampler="nsga2", trials=54, objective=["accuracy", "realised_gain"])
    suggester = _open(tmp_path, space)
    _run(suggester, most=49)
    again = tmp_path / "again"
    again.mkdir()
    shutil.copyfile(tmp_path / "optuna.db", again / "optuna.db")
    expected = _run(suggester)
    assert [*_run(_open(again, space), most=2), *_run(_open(again, space))] == expected
    assert len(expected) == 5
    generations = [trial.system_attrs.get("NSGAIISampler:generation") for trial in _kept(again)]
    assert generations == [0] * 50 + [1] * 4


def test_several_are_under_way_at_once_and_are_told_in_any_order(tmp_path):
    suggester = _open(tmp_path)
    asked = [suggester.ask() for _ in range(4)]
    assert [number for number, _ in asked] == [0, 1, 2, 3]
    for number, arm in (asked[2], asked[0]):
        suggester.tell(number=number, metrics=_metrics(arm))
    successor = _open(tmp_path)
    assert [successor.ask() for _ in range(2)] == [asked[1], asked[3]]
    assert successor.ask()[0] == 4
    assert successor.asked == 5


def test_a_result_may_be_told_twice_but_not_changed(tmp_path):
    suggester = _open(tmp_path)
    number, arm = suggester.ask()
    for _ in range(2):
        suggester.tell(number=number, metrics=_metrics(arm))
    with pytest.raises(ValueError, match="trial 0 ended before, as COMPLETE"):
        suggester.tell(number=number, failure="it broke")
    with pytest.raises(ValueError, match="trial 0 ended before, as COMPLETE"):
        suggester.tell(number=number, metrics={"accuracy": 0.1})
    assert len(_kept(tmp_path)) == 1


def test_a_failure_counts_is_kept_with_its_reason_and_is_not_learnt_from(tmp_path):
    suggester = _open(tmp_path, _space(trials=2))
    number, _ = suggester.ask()
    suggester.tell(number=number, failure="vLLM ended with exit code 137")
    number, _ = suggester.ask()
    suggester.tell(number=number, metrics={"accuracy": math.nan})
    assert suggester.ask() is None
    first, second = _kept(tmp_path)
    assert (first.state.name, first.user_attrs["failure"]) == ("FAIL", "vLLM ended with exit code 137")
    assert (second.state.name, second.user_attrs["failure"]) == ("FAIL", "accuracy not finite")


def test_a_doubtful_result_of_a_trial_left_over_can_be_told_before_it_is_handed_out_again(tmp_path):
    number, arm = _open(tmp_path).ask()
    successor = _open(tmp_path)
    successor.tell(number=number, metrics=_metrics(arm))
    assert successor.ask()[0] == 1


def test_only_the_number_of_trials_may_change_between_two_processes(tmp_path):
    assert len(_run(_open(tmp_path, _space(trials=2)))) == 2
    assert len(_run(_open(tmp_path, _space(trials=3)))) == 1
    with pytest.raises(UserError, match=r"optuna.db holds this study with another space: sampler_seed changed"):
        _open(tmp_path, _space(sampler_seed=5))
    narrower = {**_PARAMETERS, "gain": {"low": 1e-3, "high": 0.3, "log": True}}
    with pytest.raises(UserError, match="parameters changed"):
        _open(tmp_path, _space(parameters=narrower))
    with pytest.raises(UserError, match="p0 changed"):
        OptunaSuggester(
            space=_space(), defaults=ArmDefaults(p0=1.0), storage_path=tmp_path / "optuna.db", study_name="s"
        )


def test_a_file_with_an_objectives_former_name_goes_on(tmp_path):
    space = _space(objective="realised_gain", trials=2)
    suggester = _open(tmp_path, space)
    known = suggester._kept.user_attrs["iskpo_space"]
    assert known["objective"] == ["realised_gain"]
    suggester._kept.set_user_attr("iskpo_space", {**known, "objective": ["gain"]})
    assert len(_run(_open(tmp_path, space))) == 2


_WORKER = """
import sys
from pathlib import Path
from tests.sweep.engine.test_suggester import _metrics, _open
suggester = _open(Path(sys.argv[1]))
while (asked := suggester.ask()) is not None:
    number, arm = asked
    print(number, flush=True)
    suggester.tell(number=number, metrics=_metrics(arm))
"""


def test_kill_9_at_any_moment_loses_and_doubles_nothing(tmp_path):
    """Killed twice, each time at another moment of a trial; what happens between is the same at every moment."""
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    folder.mkdir()
    whole.mkdir()
    expected = _run(_open(whole))
    for kill in range(2):
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=_ROOT
        )
        assert worker.stdout is not None
        for _ in range(3):
            worker.stdout.readline()
        time.sleep(0.007 * kill)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
        numbers = [trial.number for trial in _kept(folder)]
        assert numbers == list(range(len(numbers)))
    _run(_open(folder))
    trials = _kept(folder)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 14
    assert [trial.params for trial in trials] == [trial.params for trial in _kept(whole)]
    assert len(expected) == 14
