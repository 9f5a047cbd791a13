"""Tune's own schedulers, set up as a study asks, and with the memory of trials that ended before."""

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweep.engine.schedulers import scheduler
from sweep.study.early_stopping import STEP, VALUE, EarlyStopping, value_of

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
    fresh = scheduler(stopping=stopping, metric="reward", steps=6)
    assert TrialScheduler.STOP not in _decisions(fresh, BAD)
    resumed = scheduler(stopping=stopping, metric="reward", steps=6, before=[GOOD, GOOD, GOOD])
    assert _decisions(resumed, BAD) == [TrialScheduler.CONTINUE, TrialScheduler.STOP]
    assert TrialScheduler.STOP not in _decisions(resumed, [(step, value + 1) for step, value in GOOD])


def test_of_a_gain_less_is_better() -> None:
    stopping = EarlyStopping(method="asha", after=1, keep=2)
    made = scheduler(stopping=stopping, metric="gain", steps=4, before=[BAD, BAD])
    assert _decisions(made, GOOD) == [TrialScheduler.STOP]


def test_without_early_stopping_trials_run_to_their_ends() -> None:
    plain = scheduler(stopping=None, metric=None, steps=3)
    assert isinstance(plain, FIFOScheduler)
    assert set(_decisions(plain, BAD)) == {TrialScheduler.CONTINUE}


def test_what_of_an_event_is_compared() -> None:
    step = {"kalman/tokens": 10.0, "kalman/gain_mean": 0.1, "critic/score/mean": 0.7}
    assert value_of("gain", kind="step", metrics=step) == pytest.approx(0.1)
    assert value_of("reward", kind="step", metrics=step) == 0.7
    assert value_of("clip_fraction", kind="step", metrics=step) is None
    assert value_of("accuracy", kind="step", metrics=step) is None
    evaluation = {"eval/a/avg_at_4": 0.5, "eval/b/avg_at_4": 0.7}
    assert value_of("accuracy", kind="samples", metrics=evaluation) == pytest.approx(0.6)
    assert value_of("reward", kind="samples", metrics=evaluation) is None
