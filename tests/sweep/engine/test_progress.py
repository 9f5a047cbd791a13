"""What people see while a study runs, in a terminal and without one."""

import io
import math

import pytest
from rich.console import Console

from sweep.engine import progress as module
from sweep.engine.progress import Progress
from sweep.plan import Arm, TrialPlan

PLAN = [TrialPlan(key=f"{name}_s0", arm=Arm(name=name, q=1e-6, v=1.0, kappa=math.inf), seed=0) for name in "abcde"]
METRICS = {"reward/mean": 0.5, "kalman/gain_mean": 0.01, "kalman/clip_fraction": 0.002, "innovation/max_abs": 0.3}


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is moved, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def _progress(*, terminal: bool, quiet: bool = False) -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=140, height=40, quiet=quiet, color_system=None)
    return Progress(plan=PLAN, total=len(PLAN), steps=2, quiet=quiet, console=console), out


def test_without_a_terminal_every_event_is_one_line_with_the_time_left(clock):
    shown, out = _progress(terminal=False)
    with shown:
        for trial, seconds in zip(PLAN[:3], (300, 60, 60), strict=True):
            shown.trial_started(trial)
            shown.step(trial, 2, METRICS)
            shown.evaluation(trial, 2, {"eval/sums/avg_at_4": 0.48})
            clock(seconds)
            shown.trial_finished(trial)
        shown.trial_retried(PLAN[3], "killed")
    lines = out.getvalue().splitlines()
    assert lines[1] == "[   0.0 s] a_s0: step 2/2, reward 0.500, gain % 1, clipped % 0.2, max |innov.| 0.3"
    assert lines[2] == "[   0.0 s] a_s0: evaluated after step 2: sums/avg@4 48.0 %"
    # One trial says nothing about the pace: it waited for the start. Then one minute each, and two are left.
    finished = [line for line in lines if "finished" in line]
    assert finished[0].endswith("finished in 300 s")
    assert finished[1].endswith("finished in 60 s; about 3 min left")
    assert finished[2].endswith("finished in 60 s; about 2 min left")
    assert lines[-1].endswith("d_s0: attempt failed, to be tried again: killed")


def test_a_long_rest_is_told_in_hours_and_trials_of_before_set_no_pace(clock):
    shown, _ = _progress(terminal=False)
    shown.trial_known(PLAN[0].key, "finished")
    shown.trial_finished(PLAN[1])
    clock(3600)
    shown.trial_finished(PLAN[2])
    assert shown._time_left() == "about 2.0 h left"
    clock(1800)
    assert shown._time_left() == "about 1.5 h left"


def test_in_a_terminal_the_table_has_every_trial_and_the_last_warnings(clock):
    shown, out = _progress(terminal=True)
    with shown:
        shown.trial_started(PLAN[0])
        shown.step(PLAN[0], 1, METRICS)
        for number, trial in enumerate(PLAN[1:]):
            clock(60)
            shown.trial_failed(trial, f"reason {number}")
    last = out.getvalue().rpartition("trial ")[2]
    for part in ("a_s0", "starting", "1/2", "0.500", "e_s0", "FAILED", "4/5", "about 1 min left"):
        assert part in last
    assert "reason 3" in last
    assert "reason 0" not in last


def test_quiet_shows_nothing(clock):
    shown, out = _progress(terminal=True, quiet=True)
    with shown:
        shown.trial_started(PLAN[0])
        shown.trial_failed(PLAN[0], "killed")
    assert out.getvalue() == ""
