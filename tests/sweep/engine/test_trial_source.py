"""Optuna's arms as trials: each with every seed, told when the last of them has ended, taken up again after a kill."""

import math
from pathlib import Path

import optuna
import pytest

from sweep.engine.suggester import OptunaSuggester
from sweep.engine.trial_source import Outcome, SuggestedTrials
from sweep.study.plan import TrialPlan
from sweep.study.study import Study

SPACE = {
    "kind": "optuna",
    "trials": 3,
    "objective": "realised_gain",
    "parameters": {"q": {"low": 1e-6, "high": 1e-2, "log": True}, "v": 1},
}
STUDY = Study(name="s", space=SPACE, seeds=[3, 5], steps=4)


def _source(folder: Path, before: dict[str, Outcome] | None = None) -> SuggestedTrials:
    suggester = OptunaSuggester(
        space=STUDY.space, defaults=STUDY.defaults, storage_path=folder / "optuna.db", study_name=STUDY.name
    )
    return SuggestedTrials(
        suggester=suggester, seeds=STUDY.seeds, objectives=STUDY.space.objective, before=before or {}
    )


def _told(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 'optuna.db'}").trials


def _next(source: SuggestedTrials) -> TrialPlan:
    trial = source.next()
    assert trial is not None
    return trial


def test_an_arm_has_every_seed_and_its_result_is_their_mean(tmp_path: Path) -> None:
    source = _source(tmp_path)
    first, second = _next(source), _next(source)
    assert (first.arm, first.seed, second.seed) == (second.arm, 3, 5)
    assert first.key == f"{first.arm.name}_s3"
    source.ended(second, Outcome("finished", {"realised_gain": 0.1}))
    assert _told(tmp_path)[0].state.name == "RUNNING"
    source.ended(first, Outcome("finished", {"realised_gain": 0.3}))
    assert _told(tmp_path)[0].values == pytest.approx([0.2])
    others = [_next(source) for _ in range(4)]
    assert len({trial.arm.name for trial in others}) == 2
    assert source.next() is None


def test_what_fails_and_what_falls_behind_is_told_as_that(tmp_path: Path) -> None:
    source = _source(tmp_path)
    trials = [_next(source) for _ in range(6)]
    outcomes = [
        Outcome("failed", reason="it broke"),
        Outcome("finished", {"realised_gain": 0.2}),
        Outcome("stopped early", {"realised_gain": 0.4}, step=2),
        Outcome("finished", {"realised_gain": 0.2}, step=4),
        Outcome("finished", {}),  # it measured nothing
        Outcome("finished", {"realised_gain": 0.2}),
    ]
    for trial, outcome in zip(trials, outcomes, strict=True):
        source.ended(trial, outcome)
    failed, behind, nothing = _told(tmp_path)
    assert (failed.state.name, failed.user_attrs["failure"]) == ("FAIL", "seed 3: it broke")
    assert (behind.state.name, behind.intermediate_values) == ("PRUNED", {2: pytest.approx(0.3)})
    assert (nothing.state.name, nothing.user_attrs["failure"]) == ("FAIL", "realised_gain not finite")


def test_after_a_kill_open_arms_go_on_and_what_mlflow_has_is_told(tmp_path: Path) -> None:
    source = _source(tmp_path)
    whole, part = [_next(source) for _ in range(2)], [_next(source) for _ in range(2)]
    # Killed: MLflow has both trials of the first arm and one of the second, Optuna has been told nothing.
    before = {trial.key: Outcome("finished", {"realised_gain": 0.1}) for trial in (*whole, part[0])}
    again = _source(tmp_path, before)
    assert again.next() == part[1]
    assert [trial.state.name for trial in _told(tmp_path)] == ["COMPLETE", "RUNNING"]
    again.ended(part[1], Outcome("finished", {"realised_gain": 0.5}))
    assert _told(tmp_path)[1].values == pytest.approx([0.3])
    last = [_next(again), _next(again)]
    assert again.next() is None
    assert not math.isnan(last[0].arm.q)
    assert {trial.arm.name for trial in last}.isdisjoint({whole[0].arm.name, part[0].arm.name})


def test_a_trial_that_mlflow_has_no_more_is_run_again_and_optuna_is_not_told_twice(tmp_path: Path) -> None:
    source = _source(tmp_path)
    trials = [_next(source) for _ in range(6)]
    for trial in trials:
        source.ended(trial, Outcome("finished", {"realised_gain": 0.1}))
    kept = {trial.key: Outcome("finished", {"realised_gain": 0.1}) for trial in trials if trial != trials[3]}
    again = _source(tmp_path, kept)
    assert again.next() == trials[3]
    again.ended(trials[3], Outcome("finished", {"realised_gain": 0.9}))
    assert again.next() is None
    assert [trial.values for trial in _told(tmp_path)] == [pytest.approx([0.1])] * 3
