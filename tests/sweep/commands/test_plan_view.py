import io
import json

import pytest
from rich.console import Console

from sweep.arms.paper import note
from sweep.commands import plan_view
from sweep.commands.plan_view import show_plan
from sweep.profiles.profile import load_profile
from sweep.store.plan_file import plan_as_json
from sweep.study.plan import plan_trials
from sweep.study.study import Study


def _study(**changes) -> Study:
    space = {"kind": "grid", "q": [1e-6, 1e-2], "v": [1.0, 1e-2], "kappa": [float("inf"), 3.0]}
    return Study.model_validate({"name": "example", "question": "why?", "space": space, "steps": 2, **changes})


def _shown(monkeypatch, study: Study, *, width: int | None) -> str:
    """What a terminal of this width shows, or a pipe where width is None."""
    stream = io.StringIO()

    def console(**options):
        terminal = {"force_terminal": True, "width": width, "color_system": None} if width else {}
        return Console(**{"file": stream, **options, **terminal})

    monkeypatch.setattr(plan_view, "Console", console)
    show_plan(study=study, plan=plan_trials(study), profile=load_profile("tiny"), requested_profile="tiny")
    return stream.getvalue()


@pytest.mark.parametrize("width", [None, 80, 100, 140])
def test_every_number_of_every_trial_is_shown_whole_at_any_width(monkeypatch, width):
    study = _study(seeds=2)
    text = _shown(monkeypatch, study, width=width)
    lines = text.splitlines()
    assert lines[0].startswith("Profile tiny: ")
    assert width is None or max(map(len, lines)) <= width
    assert "…" not in text
    for trial in plan_trials(study):
        rows = [line.split() for line in lines if line.split()[:2] == [trial.arm.name, str(trial.seed)]]
        assert len(rows) == 1
        assert rows[0][2:5] == [f"{trial.arm.q:g}", f"{trial.arm.v:g}", f"{trial.arm.kappa:g}"]
        assert float(rows[0][6]) == pytest.approx(100 * trial.arm.predicted_gain, rel=0.01)
        threshold = "none" if rows[0][4] == "inf" else float(rows[0][7])
        expected = trial.arm.predicted_threshold
        assert threshold == "none" if expected == float("inf") else threshold == pytest.approx(expected, rel=0.01)
    flat = " ".join(text.split())
    assert "untried by the paper" in flat.lower()
    assert "IS-KPO-weak" in flat


def test_trials_stand_in_the_order_in_which_they_run(monkeypatch):
    study = _study(seeds=[5, 2])
    lines = _shown(monkeypatch, study, width=None).splitlines()
    rows = [tuple(line.split()[:2]) for line in lines if line.startswith(" Q")]
    assert rows == [(trial.arm.name, str(trial.seed)) for trial in plan_trials(study)]


def test_long_arm_names_fold_and_lose_nothing(monkeypatch):
    name = "a" * 60
    space = {"kind": "arms", "arms": [{"name": name, "q": 1e-6, "v": 1e-2, "kappa": 3.0}]}
    text = _shown(monkeypatch, _study(space=space), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "".join(text.split()).count("a" * 60) >= 1
    for number in ("1e-06", "0.0001", "0.995", "0.302"):
        assert number in text


def test_what_departs_from_the_public_code_is_noted(monkeypatch):
    text = _shown(monkeypatch, _study(gradient="through", p0=0.5, rho0=0.25), width=None)
    assert "gradient through the filter; P0 0.5; rho0 0.25" in text
    assert "of the paper's" not in text


def test_the_estimator_is_noted_where_it_is_not_clipping(monkeypatch):
    space = {"kind": "grid", "q": [1e-2], "v": [1.0], "kappa": [3.0], "estimator": ["clip", "saturated", "huber"]}
    study = _study(space=space)
    clip, saturated, huber = (note(trial.arm) for trial in plan_trials(study))
    assert (clip, saturated) == ("Q, V, kappa of the paper's IS-KPO-weak", "estimator saturated")
    assert huber == "estimator huber, gain depends on the data"
    assert huber in _shown(monkeypatch, study, width=None)
    data = plan_as_json(study=study, plan=plan_trials(study), profile=load_profile("tiny"), requested_profile="tiny")
    assert [trial["estimator"] for trial in data["trials"]] == ["clip", "saturated", "huber"]


def test_json_is_strict_and_complete():
    study = _study(seeds=2)
    data = plan_as_json(study=study, plan=plan_trials(study), profile=load_profile("tiny"), requested_profile="auto")
    again = json.loads(json.dumps(data, allow_nan=False))
    assert [trial["key"] for trial in again["trials"]] == [trial.key for trial in plan_trials(study)]
    assert again["profile"] == "tiny"
    first = again["trials"][0]
    assert (first["kappa"], first["predicted_threshold"], first["note"]) == (
        None,
        None,
        "Q, V, kappa of the paper's KPO-strong",
    )
