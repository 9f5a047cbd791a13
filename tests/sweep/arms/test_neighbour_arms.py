"""Neighbours' losses as arms of a study, everywhere an arm goes before a trial starts."""

import io
import json
import math
import pickle
from pathlib import Path

import pytest
from rich.console import Console

from sweep.arms.arm import Arm
from sweep.arms.losses import NEIGHBOURS
from sweep.arms.paper import note, paper_arm, untried_by_the_paper
from sweep.commands import plan_view
from sweep.commands.plan_view import show_plan
from sweep.input.errors import UserError
from sweep.profiles.profile import load_profile
from sweep.store.plan_file import arm_params, plan_as_json
from sweep.study.plan import plan_trials
from sweep.study.study import load_study

_STUDY = """\
name: n
space:
  kind: arms
  arms:
    - {name: iskpo, q: 1e-6, v: 1e-2, kappa: 1}
    - {name: other, loss: LOSS}
steps: 1
"""


def _other(write_study, text: str, **replace) -> Arm:
    return load_study(write_study(_STUDY.replace("loss: LOSS", text), replace=replace)).arms[1]


@pytest.mark.parametrize("loss", sorted(NEIGHBOURS))
def test_every_neighbour_is_an_arm_with_its_papers_bounds(write_study, loss):
    arm = _other(write_study, f"loss: {loss}")
    assert arm == Arm(name="other", loss=loss, dynamic_sampling=loss == "dapo")
    assert not arm.has_filter
    assert arm.clip_bounds == NEIGHBOURS[loss].clip
    assert math.isnan(arm.predicted_gain)
    assert math.isnan(arm.predicted_threshold)
    assert not arm.gain_depends_on_data
    assert paper_arm(arm) is None
    assert not untried_by_the_paper(arm)
    assert NEIGHBOURS[loss].title in note(arm)


def test_the_seed_papers_neighbours_are_there_and_shipped_as_a_study():
    study = load_study(Path(__file__).parents[3] / "studies" / "neighbours.yaml")
    arms = study.arms
    assert {arm.loss for arm in arms} == {"iskpo", *NEIGHBOURS}
    assert [arm.name for arm in arms if arm.advantage == "krpo"] == ["krpo"]
    assert [arm.name for arm in arms if arm.dynamic_sampling] == ["dapo", "dapo-overlong"]


def test_bounds_advantage_and_sampling_can_be_set(write_study):
    arm = _other(write_study, "loss: gspo, clip_high: 1e-3, advantage: krpo, dynamic_sampling: true")
    assert arm.clip_bounds == (3e-4, 1e-3)
    assert (arm.advantage, arm.dynamic_sampling) == ("krpo", True)
    assert not _other(write_study, "loss: dapo, dynamic_sampling: false").dynamic_sampling
    filtered = _other(write_study, "q: 1e-2, v: 1, advantage: krpo, dynamic_sampling: true")
    assert filtered.has_filter
    assert (filtered.advantage, filtered.dynamic_sampling) == ("krpo", True)
    assert paper_arm(filtered) is None
    assert paper_arm(_other(write_study, "q: 1e-2, v: 1")) is not None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("loss: grpo, q: 1e-6", r"space.arms\[1\].q: the loss grpo has no Kalman filter"),
        ("loss: gspo, kappa: 1", r"space.arms\[1\].kappa: the loss gspo has no Kalman filter"),
        ("loss: cispo, estimator: huber", r"space.arms\[1\].estimator: the loss cispo has no Kalman filter"),
        ("loss: sapo, clip_low: 0.1", r"space.arms\[1\].clip_low: the loss sapo clips nothing"),
        ("loss: grpo, clip_low: 0", r"space.arms\[1\].clip_low: must be > 0"),
        ("loss: vanilla", r"space.arms\[1\].loss: unknown loss 'vanilla': here it is called 'grpo'"),
        ("loss: geo_mean", r"space.arms\[1\].loss: unknown loss 'geo_mean': here it is called 'gmpo'"),
        ("loss: gsp", r"space.arms\[1\].loss: unknown loss 'gsp'; did you mean 'gspo'"),
        ("loss: 3", r"space.arms\[1\].loss: unknown loss 3"),
        ("loss: grpo, advantage: krp", r"space.arms\[1\].advantage: unknown value 'krp'; did you mean 'krpo'"),
        ("loss: grpo, dynamic_sampling: 1", r"space.arms\[1\].dynamic_sampling: must be true or false"),
        ("loss: grpo, clip_hgh: 1", r"space.arms\[1\].clip_hgh: unknown key; did you mean 'clip_high'"),
        ("q: 1e-6, v: 1, clip_low: 0.1", r"space.arms\[1\].clip_low: the loss iskpo has bounds of its own"),
        ("v: 1", r"space.arms\[1\].q: this key is missing"),
        ("q: null, v: 1", r"space.arms\[1\].q: must be a number, got nothing"),
    ],
)
def test_keys_that_do_not_fit_the_loss_are_refused_with_their_place(write_study, entry, message):
    with pytest.raises(UserError, match=message):
        _other(write_study, entry)


def test_two_neighbours_that_train_alike_are_refused(write_study):
    text = _STUDY.replace("loss: LOSS}", "loss: grpo}\n    - {name: again, loss: grpo}")
    with pytest.raises(UserError, match="arms 'other' and 'again' have the same parameters"):
        load_study(write_study(text))


def test_an_override_that_an_arms_loss_would_undo_is_refused(write_study):
    overrides = "overrides: {actor_rollout_ref.actor.clip_ratio_low: 0.1, data.shuffle: false}\n"
    with pytest.raises(UserError, match=r"clip_ratio_low: arm other sets it, by its loss"):
        load_study(write_study(_STUDY.replace("LOSS", "gspo") + overrides))
    assert load_study(write_study(_STUDY.replace("LOSS", "sapo") + overrides)).overrides


def test_arms_without_filter_are_equal_to_their_copies_and_survive_a_round_trip():
    arm = Arm(name="a", loss="gspo", clip_low=0.1)
    copy = pickle.loads(pickle.dumps(arm))
    assert copy == arm
    assert hash(copy) == hash(arm)
    assert arm != Arm(name="a", loss="gspo")
    assert Arm(name="a", q=1.0, v=1.0) != arm


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "gspo", "q": 1.0, "v": 1.0},
        {"loss": "sapo", "clip_low": 0.1},
        {"loss": "none"},
        {"loss": "grpo", "advantage": "none"},
        {"loss": "grpo", "clip_high": -1.0},
        {"q": 1.0, "v": 1.0, "clip_low": 0.1},
        {},
    ],
)
def test_an_arm_that_no_loss_can_run_cannot_be_made(values):
    with pytest.raises(ValueError, match="arm x: "):
        Arm(name="x", **values)


def test_the_plan_shows_none_for_what_a_loss_has_not(write_study, monkeypatch):
    study = load_study(write_study(_STUDY.replace("LOSS", "gspo")))
    stream = io.StringIO()
    monkeypatch.setattr(plan_view, "Console", lambda **options: Console(**{"file": stream, **options}))
    arguments = {"study": study, "plan": plan_trials(study), "profile": load_profile("tiny"), "requested_profile": "x"}
    show_plan(**arguments)
    (row,) = [line.split() for line in stream.getvalue().splitlines() if line.split()[:1] == ["other"]]
    assert row[1:9] == ["0", "-", "-", "-", "-", "none", "none", "GSPO"]
    iskpo, other = json.loads(json.dumps(plan_as_json(**arguments), allow_nan=False))["trials"]
    assert (iskpo["loss"], iskpo["clip_bounds"]) == ("iskpo", None)
    assert (other["loss"], other["clip_bounds"]) == ("gspo", [3e-4, 4e-4])
    assert [other[name] for name in ("q", "v", "kappa", "p0", "predicted_gain", "predicted_threshold")] == [None] * 6


def test_mlflow_is_told_what_the_loss_has_and_nothing_else():
    plain = arm_params(Arm(name="a", loss="grpo", advantage="krpo"))
    assert plain == {
        "loss": "grpo",
        "dynamic_sampling": False,
        "advantage": "krpo",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "predicted_gain": "none",
        "predicted_threshold": "none",
    }
    filtered = arm_params(Arm(name="a", q=1e-2, v=1.0, kappa=3.0))
    assert filtered["predicted_gain"] == pytest.approx(0.0951, abs=1e-4)
    assert {"q", "v", "kappa", "p0", "rho0", "gradient", "numerics", "estimator"} < set(filtered)
    assert "clip_low" not in filtered
