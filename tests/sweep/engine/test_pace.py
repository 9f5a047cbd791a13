"""The time that is left: first by steps, then by trials, at the pace of what has really run."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.engine.pace import Pace


def test_until_a_trial_has_ended_its_steps_set_the_pace(clock):
    pace = Pace(total=3, steps=4)
    assert pace.seconds_left() is None
    assert pace.in_words() == ""
    pace.working("a", 0)
    clock(10)
    assert pace.seconds_left() is None
    pace.working("a", 1)
    # Ten seconds a step, and eleven of twelve steps are left.
    assert pace.seconds_left() == pytest.approx(110)
    clock(5)
    assert pace.seconds_left() == pytest.approx(105)


def test_afterwards_trials_do_however_many_run_side_by_side(clock):
    pace = Pace(total=6, steps=4)
    for trial in "ab":
        pace.working(trial, 0)
    clock(100)
    for trial in "ab":
        pace.trial_ended(trial)
    assert pace.seconds_left() == pytest.approx(200)
    assert pace.in_words() == "about 3 min left"
    clock(150)
    assert pace.in_words() == "less than a minute left"
    clock(150)
    assert pace.seconds_left() == 0


def test_trials_of_before_and_attempts_that_failed_set_no_pace(clock):
    pace = Pace(total=3, steps=2)
    pace.known()
    pace.working("b", 0)
    clock(3600)
    pace.retried("b")
    assert pace.seconds_left() is None
    pace.trial_ended("b")
    assert pace.ended == 2
    assert pace.seconds_left() == pytest.approx(3600)
    clock(-1800)
    assert pace.in_words() == "about 1.5 h left"


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=20), st.integers(1, 50))
def test_at_an_even_pace_what_is_said_is_what_comes(seconds, rest):
    with pytest.MonkeyPatch.context() as patch:
        now = [0.0]
        patch.setattr(time, "monotonic", lambda: now[0])
        pace = Pace(total=len(seconds) + rest, steps=1)
        for number, each in enumerate(seconds):
            pace.working(str(number), 0)
            now[0] += each
            pace.trial_ended(str(number))
        assert pace.seconds_left() == pytest.approx(sum(seconds) / len(seconds) * rest)
