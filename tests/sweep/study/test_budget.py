import pytest

from sweep.study.budget import Budget, Spent


def test_trials_count_when_they_begin_and_steps_when_they_end() -> None:
    spent = Spent(trials=1, steps=4, seconds=0.0)
    assert spent.exhausts(Budget(trials=2)) == ""
    spent.begin("a")
    assert spent.exhausts(Budget(trials=2)) == "2 of 2 trials"
    spent.step("a")
    assert spent.exhausts(Budget(steps=6)) == ""
    spent.step("a")
    assert spent.exhausts(Budget(steps=6)) == "6 of 6 training steps"
    # A second attempt begins at nothing.
    spent.begin("a")
    assert spent.exhausts(Budget(steps=6)) == ""
    spent.step("a")
    spent.end("a")
    assert (spent.trials, spent.steps, spent.running) == (2, 5, {})


def test_a_trial_that_goes_on_from_a_checkpoint_has_spent_its_time_before() -> None:
    spent = Spent()
    spent.begin("a")
    spent.resume("a", 7200.0)
    spent.step("a")
    assert spent.exhausts(Budget(hours=2)) == "2 of 2 hours"
    assert spent.exhausts(Budget(steps=1)) == "1 of 1 training steps"


def test_hours_are_those_of_all_trials() -> None:
    spent = Spent(trials=3, seconds=7199.0)
    assert spent.exhausts(Budget(hours=2)) == ""
    spent.begin("a")
    began, steps = spent.running["a"]
    spent.running["a"] = (began - 2.0, steps)
    assert spent.exhausts(Budget(hours=2)) == "2 of 2 hours"
    spent.end("a")
    assert spent.seconds == pytest.approx(7201.0, abs=0.5)
