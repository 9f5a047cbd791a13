"""Trials are handed out once, in order, through Ray Tune's own wrapper; its schedulers are set up as a study asks."""

import json

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import ConcurrencyLimiter, Searcher

from sweep.arms.arm import Arm
from sweep.engine.trial_source import PlannedTrials, as_config, from_config
from sweep.engine.tuning import TrialSearcher, make_scheduler
from sweep.study.early_stopping import STEP, VALUE, EarlyStopping, value_of
from sweep.study.plan import TrialPlan

PLAN = [TrialPlan(key=f"a{number}_s0", arm=Arm(name=f"a{number}", q=1e-6, v=1.0), seed=0) for number in range(3)]


def test_every_trial_is_suggested_once_in_order() -> None:
    searcher = TrialSearcher(source=PlannedTrials(PLAN), may_start=lambda: True)
    assert [searcher.suggest(str(number)) for number in range(3)] == [as_config(trial) for trial in PLAN]
    assert searcher.suggest("3") == Searcher.FINISHED


def test_no_trial_is_suggested_once_none_may_start() -> None:
    answers = iter([True, False, True])
    searcher = TrialSearcher(source=PlannedTrials(PLAN), may_start=lambda: next(answers))
    assert searcher.suggest("0") == as_config(PLAN[0])
    assert searcher.suggest("1") == Searcher.FINISHED
    # A stop is final: a searcher that has finished is not asked again, and would say the same.
    assert searcher.suggest("2") == Searcher.FINISHED


def test_side_by_side_no_more_than_allowed() -> None:
    limited = ConcurrencyLimiter(TrialSearcher(source=PlannedTrials(PLAN), may_start=lambda: True), max_concurrent=1)
    assert limited.suggest("0") == as_config(PLAN[0])
    assert limited.suggest("1") is None
    limited.on_trial_complete("0", {}, error=True)
    assert limited.suggest("1") == as_config(PLAN[1])


def test_a_trial_comes_back_from_its_configuration_as_json() -> None:
    neighbour = TrialPlan(key="g_s7", arm=Arm(name="g", loss="gspo", clip_high=1e-3), seed=7)
    for trial in (*PLAN, neighbour):
        # As Tune writes it.
        assert from_config(json.loads(json.dumps(as_config(trial)))) == trial


GOOD, BAD = [(1, 0.5), (2, 0.6), (3, 0.7)], [(1, 0.2), (2, 0.1), (3, 0.1)]


def _decisions(made: TrialScheduler, history: list[tuple[int, float]]) -> list[str]:
    trial = Trial("any", stub=True)
    made.on_trial_add(None, trial)
    said = []
    for step, value in history:
        said.append(made.on_trial_result(None, trial, {STEP: step, VALUE: value}))
        if said[-1] == TrialScheduler.STOP:
            break
    return said


@pytest.mark.parametrize("method", ["asha", "median"])
def test_a_trial_that_falls_behind_those_before_a_resumption_is_stopped(method: str) -> None:
    stopping = EarlyStopping(method=method, metric="reward", after=2, keep=2, others=2)
    fresh = make_scheduler(stopping=stopping, metric="reward", steps=6)
    assert TrialScheduler.STOP not in _decisions(fresh, BAD)
    resumed = make_scheduler(stopping=stopping, metric="reward", steps=6, before=[GOOD, GOOD, GOOD])
    assert _decisions(resumed, BAD) == [TrialScheduler.CONTINUE, TrialScheduler.STOP]
    assert TrialScheduler.STOP not in _decisions(resumed, [(step, value + 1) for step, value in GOOD])


def test_of_a_gain_less_is_better() -> None:
    stopping = EarlyStopping(method="asha", after=1, keep=2)
    made = make_scheduler(stopping=stopping, metric="realised_gain", steps=4, before=[BAD, BAD])
    assert _decisions(made, GOOD) == [TrialScheduler.STOP]


def test_without_early_stopping_trials_run_to_their_ends() -> None:
    plain = make_scheduler(stopping=None, metric=None, steps=3)
    assert isinstance(plain, FIFOScheduler)
    assert set(_decisions(plain, BAD)) == {TrialScheduler.CONTINUE}


def test_what_of_an_event_is_compared() -> None:
    step = {"kalman/tokens": 10.0, "kalman/gain_mean": 0.1, "critic/score/mean": 0.7}
    assert value_of("realised_gain", kind="step", metrics=step) == pytest.approx(0.1)
    assert value_of("reward", kind="step", metrics=step) == 0.7
    assert value_of("clip_fraction", kind="step", metrics=step) is None
    assert value_of("accuracy", kind="step", metrics=step) is None
    evaluation = {"eval/a/avg_at_4": 0.5, "eval/b/avg_at_4": 0.7}
    assert value_of("accuracy", kind="samples", metrics=evaluation) == pytest.approx(0.6)
    assert value_of("reward", kind="samples", metrics=evaluation) is None
