"""``--json``: every line is an object with the keys that are promised, and the documentation promises the same."""

import contextlib
import datetime
import io
import json
import math
import re
from pathlib import Path

import pytest

from sweep.arms.arm import Arm
from sweep.engine.event_lines import EVENTS, EventLines
from sweep.engine.trial_source import Outcome
from sweep.study.plan import TrialPlan

PLAN = [TrialPlan(key=f"{name}_s0", arm=Arm(name=name, q=1e-6, v=1.0, kappa=math.inf), seed=0) for name in "abcd"]
DOCUMENT = Path(__file__).parents[3] / "docs" / "events.md"


def _lines(out: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_study_in_lines():
    out = io.StringIO()
    with contextlib.redirect_stdout(out), EventLines(total=4, steps=2) as events:
        events.trial_known(PLAN[0].key, "failed")
        events.trial_started(PLAN[1])
        events.phase(PLAN[1], "ready", 0)
        events.step(PLAN[1], 1, {"reward/mean": 0.5, "kalman/gain_mean": math.nan})
        events.evaluation(PLAN[1], 2, {"eval/sums/avg_at_4": 0.25})
        events.trial_retried(PLAN[1], "killed")
        events.trial_ended(PLAN[1], Outcome("finished", step=2))
        events.trial_ended(PLAN[2], Outcome("failed", reason="NaN"))
        events.trial_ended(PLAN[3], Outcome("stopped early", step=1))
        events.study_ended(state="failed", exit_code=1)
    lines = _lines(out)
    for line in lines:
        event, when, seconds = line["event"], line.pop("time"), line.pop("seconds")
        assert set(line) == {"event", *EVENTS[event]}
        assert datetime.datetime.fromisoformat(when).utcoffset() == datetime.timedelta(0)
        assert seconds >= 0
    step = next(line for line in lines if line["event"] == "step")
    # NaN is no JSON.
    assert step["metrics"] == {"reward/mean": 0.5}
    ended = [line for line in lines if line["event"] == "trial_ended"]
    assert [(line["trial"], line["state"], line["step"], line["ended"]) for line in ended] == [
        ("b_s0", "finished", 2, 2),
        ("c_s0", "failed", None, 3),
        ("d_s0", "stopped early", 1, 4),
    ]
    assert {**lines[-1]} == {
        "event": "study_ended",
        "state": "failed",
        "finished": 1,
        "failed": ["a_s0", "c_s0"],
        "stopped_early": ["d_s0"],
        "budget_spent": "",
        "exit_code": 1,
    }


def test_a_replays_trials_have_a_line_each():
    out = io.StringIO()
    with contextlib.redirect_stdout(out), EventLines(total=4, steps=1) as events:
        for trial in PLAN:
            events.trial_replayed(trial, Outcome("finished", {"realised_gain": 0.1}, step=1))
    assert [line["ended"] for line in _lines(out)] == [1, 2, 3, 4]
    assert _lines(out)[-1]["seconds_left"] == 0


def test_what_is_not_promised_is_not_said():
    events = EventLines(total=1, steps=1)
    with pytest.raises(TypeError, match="report has no pages"):
        events.say("report", paths=[], pages=3)
    with pytest.raises(KeyError, match="paths"):
        events.say("report")


def test_the_documentation_names_every_event_and_key():
    sections = re.split(r"^### ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    documented = {
        section.split("`")[1]: dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", section, flags=re.MULTILINE))
        for section in sections
    }
    assert documented == EVENTS
