"""What people see while a study runs, in a terminal and without one."""

import io
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from sweep.arms.arm import Arm
from sweep.engine.progress import Pace, Progress, ResizableLive
from sweep.engine.trial_source import Outcome
from sweep.study.plan import TrialPlan

PLAN = [TrialPlan(key=f"{name}_s0", arm=Arm(name=name, q=1e-6, v=1.0, kappa=math.inf), seed=0) for name in "abcde"]
METRICS = {"reward/mean": 0.5, "kalman/gain_mean": 0.01, "kalman/clip_fraction": 0.002, "innovation/max_abs": 0.3}


def _progress(
    *, terminal: bool, quiet: bool = False, width: int = 140, height: int = 40
) -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, height=height, quiet=quiet, color_system=None)
    return Progress(plan=PLAN, total=len(PLAN), steps=2, quiet=quiet, console=console), out


def test_without_a_terminal_every_event_is_one_line_with_the_time_left(clock):
    shown, out = _progress(terminal=False)
    with shown:
        for trial, start in zip(PLAN[:3], (300, 0, 0), strict=True):
            shown.trial_started(trial)
            clock(start)
            shown.phase(trial, "ready", 0)
            clock(60)
            shown.step(trial, 2, METRICS)
            shown.evaluation(trial, 2, {"eval/sums/avg_at_4": 0.48})
            shown.trial_ended(trial, Outcome("finished"))
        shown.trial_retried(PLAN[3], "killed")
    lines = out.getvalue().splitlines()
    assert lines[1] == "[ 300.0 s] a_s0: ready"
    assert lines[2] == "[ 360.0 s] a_s0: step 2/2, reward 0.500, gain % 1, clipped % 0.2, max |innov.| 0.3"
    assert lines[3] == "[ 360.0 s] a_s0: evaluated after step 2: sums/avg@4 48.0 %"
    # A minute each; the first trial's wait for the start counts for nothing.
    finished = [line for line in lines if "finished" in line]
    assert finished[0].endswith("finished in 360 s; about 4 min left")
    assert finished[1].endswith("finished in 60 s; about 3 min left")
    assert finished[2].endswith("finished in 60 s; about 2 min left")
    assert lines[-1].endswith("d_s0: attempt failed, to be tried again: killed")


def test_in_a_terminal_the_table_has_every_trial_and_the_last_warnings(clock):
    shown, out = _progress(terminal=True)
    with shown:
        shown.trial_started(PLAN[0])
        shown.step(PLAN[0], 1, METRICS)
        for number, trial in enumerate(PLAN[1:]):
            clock(60)
            shown.trial_ended(trial, Outcome("failed", reason=f"reason {number}"))
    last = out.getvalue().rpartition("trial ")[2]
    for part in ("a_s0", "starting", "1/2", "0.500", "e_s0", "FAILED", "4/5", "about 1 min left"):
        assert part in last
    assert "reason 3" in last
    assert "reason 0" not in last


def test_quiet_shows_nothing(clock):
    shown, out = _progress(terminal=True, quiet=True)
    with shown:
        shown.trial_started(PLAN[0])
        shown.trial_ended(PLAN[0], Outcome("failed", reason="killed"))
    assert out.getvalue() == ""


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_view_fits_its_terminal_and_numbers_are_never_cut(clock, width):
    shown, out = _progress(terminal=True, width=width, height=12)
    with shown:
        for number, trial in enumerate(PLAN):
            shown.trial_started(trial)
            shown.step(trial, number % 2 + 1, {**METRICS, "kalman/gain_mean": 0.123 * number})
        reason = "a reason that is much longer than the narrow terminal on which it is shown " * 2
        shown.trial_ended(PLAN[0], Outcome("failed", reason=reason))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width + len("\x1b[2K\x1b[1A") * 20
    last = out.getvalue().rpartition("reward")[2]
    for number in ("12.3", "24.6", "49.2"):
        assert number in last
    assert ("max |innov.|" in out.getvalue()) == (width >= 100)


def test_where_there_is_no_room_what_runs_is_shown(clock):
    shown, out = _progress(terminal=True, height=13)
    with shown:
        shown.trial_known(PLAN[0].key, "finished")
        shown.trial_started(PLAN[1])
        shown.step(PLAN[1], 1, METRICS)
    assert "a_s0" in out.getvalue()  # Five rows always fit.
    many = [TrialPlan(key=f"t{number}_s0", arm=PLAN[0].arm, seed=0) for number in range(30)]
    console = Console(file=(out := io.StringIO()), force_terminal=True, width=100, height=20, color_system=None)
    with Progress(plan=many, total=30, steps=2, console=console) as shown:
        for trial in many[:14]:
            shown.trial_started(trial)
            shown.trial_ended(trial, Outcome("finished"))
        shown.trial_started(many[14])
    last = out.getvalue().rpartition("reward")[2]
    assert "t14_s0" in last
    assert "t15_s0" in last
    assert "t29_s0" not in last
    assert "t0_s0" not in last
    assert "more trials have ended or wait" in last


CLEAR = "\x1b[H\x1b[2J"
UP = "\x1b[1A"


def _table() -> Table:
    table = Table("trial", "state")
    for name in "abc":
        table.add_row(name * 30, "waiting")
    return table


def test_the_screen_is_emptied_after_a_change_of_size_and_only_then():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=30, color_system=None)
    with ResizableLive(get_renderable=_table, console=console, auto_refresh=False) as live:
        live.refresh()
        live.refresh()
        assert CLEAR not in out.getvalue()
        assert UP in out.getvalue()
        console.width = 60
        before = len(out.getvalue())
        live.refresh()
        drawn = out.getvalue()[before:]
        assert drawn.startswith(CLEAR)
        assert UP not in drawn
        assert drawn.count("waiting") == 3
        before = len(out.getvalue())
        live.refresh()
        assert CLEAR not in out.getvalue()[before:]


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


def test_steps_of_an_earlier_attempt_set_no_pace(clock):
    pace = Pace(total=2, steps=4)
    pace.resumed("a", 2)
    for step in (1, 2):  # told again
        pace.working("a", step)
    clock(10)
    assert pace.seconds_left() is None
    pace.working("a", 3)
    # Ten seconds a step, and five of eight steps are left.
    assert pace.seconds_left() == pytest.approx(50)
    clock(10)
    pace.trial_ended("a")
    # Half a trial took 20 seconds.
    assert pace.seconds_left() == pytest.approx(40)


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
