"""What an Optuna study may say, and what its plan shows."""

import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sweep.arms.objectives import recorded_objectives
from sweep.commands.cli import app
from sweep.input.errors import UserError
from sweep.search_spaces import ArmDefaults, OptunaSpace
from sweep.store.exports import planned_objectives
from sweep.study.plan import plan_trials
from sweep.study.study import load_study

_STUDY = """\
name: o
space:
  kind: optuna
  trials: 5
  parameters:
    estimator: {choices: [clip, huber]}
    gain: {low: 1e-4, high: 0.3, log: true}
    threshold: {low: 0.01, high: 3, log: true}
    kappa: {low: 1, high: 4, type: int, when: {estimator: huber}}
seeds: 2
steps: 3
"""


def _invoke(*arguments: object):
    return CliRunner(env={"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}).invoke(app, [str(a) for a in arguments])


def test_there_is_no_list_of_trials_and_the_study_says_so(write_study):
    study = load_study(write_study(_STUDY))
    assert study.space.is_adaptive
    assert study.space.size() == 5
    with pytest.raises(UserError, match="chosen while it runs"):
        plan_trials(study)
    with pytest.raises(TypeError, match="chosen while the study runs"):
        study.space.to_arms(defaults=study.defaults)


def test_an_objectives_former_name_is_still_read(write_study):
    text = _STUDY + "early_stopping: {method: asha, metric: gain, after: 1}\n"
    old = load_study(write_study(text, replace={"  trials: 5\n": "  trials: 5\n  objective: gain\n"}))
    assert old.space.objective == (old.early_stopping.metric,) == ("realised_gain",)
    assert recorded_objectives({"objective/gain": 0.1, "kalman/gain_mean": 0.2}) == {"realised_gain": 0.1}
    assert planned_objectives({"adaptive": {"objectives": ["accuracy", "gain"]}}) == ("accuracy", "realised_gain")


def test_the_plan_says_how_many_in_which_ranges_and_what_these_imply(write_study):
    path = write_study(_STUDY)
    shown = _invoke("plan", path)
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.output.split())
    assert "10 trials (5 arms, 2 seeds) of 3 steps" in text
    assert "Optuna's tpe, seed 0, for accuracy" in text
    assert "kappa 1 to 4, whole numbers; only where estimator is huber" in text
    assert "Gain: 0.0001 to 0.3" in text
    assert "Threshold: 0.01 to 3 in log-ratio units" in text
    adaptive = json.loads(_invoke("plan", path, "--json").output)["adaptive"]
    assert (adaptive["arms"], adaptive["trials"], adaptive["seeds"]) == (5, 10, [0, 1])
    assert adaptive["implied"]["gain"] == pytest.approx([1e-4, 0.3], rel=1e-9)
    assert adaptive["implied"]["threshold"] == pytest.approx([0.01, 3], rel=1e-9)


def test_q_and_v_imply_gains_and_thresholds_too(write_study):
    parameters = "  parameters: {q: {low: 1e-6, high: 1e-2}, v: 1, kappa: 3}\n"
    text = re.sub(r"  parameters:.*(?=seeds)", parameters, _STUDY, flags=re.S)
    adaptive = json.loads(_invoke("plan", write_study(text), "--json").output)["adaptive"]
    assert adaptive["implied"]["gain"] == pytest.approx([0.0009995, 0.0951], rel=1e-3)
    assert adaptive["implied"]["threshold"] == pytest.approx([3.0015, 3.154], rel=1e-3)


@given(
    gain=st.floats(math.log(1e-4), math.log(0.3)).map(math.exp),
    threshold=st.floats(math.log(0.01), math.log(3)).map(math.exp),
    kappa=st.integers(1, 4),
    huber=st.booleans(),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_arm_inside_the_ranges_has_the_gain_and_threshold_it_was_given(gain, threshold, kappa, huber):
    space = OptunaSpace.model_validate(
        {
            "trials": 3,
            "parameters": {
                "estimator": {"choices": ["clip", "saturated"]},
                "gain": {"low": 1e-4, "high": 0.3},
                "threshold": {"low": 0.01, "high": 3},
                "kappa": {"low": 1, "high": 4, "type": "int", "when": {"estimator": "saturated"}},
            },
        }
    )
    values = {"estimator": "saturated" if huber else "clip", "gain": gain, "threshold": threshold}
    values |= {"kappa": float(kappa)} if huber else {}
    arm = space.arm(number=7, values=values, defaults=ArmDefaults(p0=0.25))
    assert arm.predicted_gain == pytest.approx(gain, rel=1e-9)
    assert arm.predicted_threshold == pytest.approx(threshold, rel=1e-9)
    assert (arm.kappa, arm.p0) == (kappa if huber else 3.0, 0.25)
    assert re.fullmatch(r"t0007_[A-Za-z0-9._+-]+", arm.name)
    assert len(arm.name) <= 80


def test_losses_can_be_searched_over_with_the_filters_parameters_where_there_is_a_filter(write_study):
    text = """\
name: o
space:
  kind: optuna
  trials: 3
  parameters:
    loss: {choices: [iskpo, gspo, sapo]}
    q: {low: 1e-6, high: 1e-2, log: true, when: {loss: iskpo}}
    v: {value: 1, when: {loss: iskpo}}
    clip_high: {low: 1e-4, high: 1e-2, when: {loss: gspo}}
steps: 1
"""
    study = load_study(write_study(text))
    corners = study.space.corners(defaults=study.defaults)
    assert sorted({arm.loss for arm in corners}) == ["gspo", "iskpo", "sapo"]
    assert {arm.clip_high for arm in corners if arm.loss == "gspo"} == {1e-4, 1e-2}
    assert {arm.q for arm in corners if arm.loss == "iskpo"} == {1e-6, 1e-2}
    with pytest.raises(UserError, match=r"space.parameters.q: the loss gspo has no Kalman filter: add when"):
        load_study(write_study(text, replace={", log: true, when: {loss: iskpo}": ", log: true"}))
    with pytest.raises(UserError, match=r"space.objective: the loss gspo has no realised_gain to optimise"):
        load_study(write_study(text, replace={"  trials: 3": "  trials: 3\n  objective: [accuracy, gain]"}))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials: 5", "trials: 0", r"space.trials: must be >= 1"),
        ("trials: 5", "trials: 60000", r"space: 60,000 arms with 2 seeds are 120,000 trials; the most is 100,000"),
        ("trials: 5", "trials: 5\n  sampler: tpee", r"space.sampler: unknown value 'tpee'; did you mean 'tpe'"),
        ("trials: 5", "trials: 5\n  objective: speed", r"space.objective\[0\]: unknown value 'speed'"),
        ("trials: 5", "trials: 5\n  objective: [gain, realised_gain]", r"space.objective: holds realised_gain more"),
        ("trials: 5", "trials: 5\n  objective: []", r"space.objective: must not be empty"),
        ("low: 1e-4", "low: 0", r"space.parameters.gain.low: must be > 0 to be searched in logarithms"),
        ("low: 1e-4", "low: 0.4", r"space.parameters.gain.low: must be below high = 0.3, got 0.4"),
        ("high: 0.3", "high: 1", r"space.parameters.gain.high: gain must be between 1e-12 and 1, got 1"),
        ("high: 0.3", "hihg: 0.3", r"space.parameters.gain.(high: this key is missing|hihg: unknown key)"),
        ("log: true}\n    kappa", "log: true, lgo: 1}\n    kappa", r"threshold.lgo: unknown key; did you mean 'low'"),
        ("{low: 1e-4, high: 0.3, log: true}", "[1, 2]", r"space.parameters.gain: must be a value, {low, high}"),
        ("{low: 1e-4, high: 0.3, log: true}", "{log: true}", r"space.parameters.gain: says no values"),
        ("{low: 1e-4, high: 0.3, log: true}", "much", r"space.parameters.gain: gain must be a number, got 'much'"),
        ("[clip, huber]", "[clip, hubr]", r"estimator.choices\[1\]: unknown estimator 'hubr'; did you mean 'huber'"),
        ("[clip, huber]", "[clip, clip]", r"space.parameters.estimator.choices: holds a value more than once"),
        ("{low: 1, high: 4, type: int, ", "{choices: [2, 2.0], ", r"kappa.choices: holds a value more than once"),
        ("low: 1, high: 4, type: int", "low: 1, high: 4, step: 3.5", r"kappa.step: .* range from 1 to 4.* got 3.5"),
        ("[clip, huber]", "[]", r"space.parameters.estimator.choices: must be a list with at least one value"),
        ("{choices: [clip, huber]}", "{low: 0, high: 1}", r"space.parameters.estimator: estimator is no number"),
        ("low: 1, high: 4", "low: 1.5, high: 4", r"space.parameters.kappa.low: must be a whole number"),
        ("estimator: huber}", "estimtor: huber}", r"kappa.when.estimtor: is not a parameter that stands above kappa"),
        ("estimator: huber}", "gain: 0.1}", r"space.parameters.kappa.when.gain: is a range"),
        ("estimator: huber}", "estimator: ema}", r"kappa.when.estimator: estimator is never 'ema'"),
        ("    gain:", "    gian:", r"space.parameters.gian: there is no parameter of this name; did you mean 'gain'"),
        ("    gain:", "    q: 1\n    gain:", r"space.parameters.q: q say the same as gain and threshold"),
        ("    threshold: {low: 0.01, high: 3, log: true}\n", "", r"space.parameters: threshold is missing"),
        ("high: 3, log: true}", "high: 3, when: {estimator: clip}}", r"threshold exists only under a condition"),
        ("[clip, huber]", "[clip, ema]", r"kappa.when.estimator: estimator is never 'huber'"),
        ("steps: 3", "steps: 3\nnumerics: public-cumsum-fp32", r"space.parameters: arm .* cannot clip"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_its_key(write_study, old, new, message):
    with pytest.raises(UserError, match=message):
        load_study(write_study(_STUDY, replace={old: new}))


@pytest.mark.parametrize(
    ("kappa", "arms"),
    [
        ("3", 4),
        ("{choices: [1, 2, 3]}", 12),
        ("{low: 1, high: 4, type: int}", 16),
        ("{low: 1, high: 4, type: int, when: {estimator: huber}}", 10),
        ("{low: 1, high: 1.3, step: 0.1, when: {estimator: huber}}", 10),
        ("{low: 1, high: 1.35, step: 0.1}", 16),
        ("{low: 1, high: 2, when: {estimator: huber}}", None),
    ],
)
def test_no_more_arms_are_asked_for_than_there_are(write_study, kappa, arms):
    fixed = "estimator: {choices: [clip, huber]}, gain: {choices: [0.1, 0.2]}, threshold: 1"
    parameters = f"  parameters: {{{fixed}, kappa: {kappa}}}\n"
    text = re.sub(r"  parameters:.*(?=seeds)", parameters, _STUDY, flags=re.S)
    assert load_study(write_study(text, replace={"trials: 5": f"trials: {arms or 1000}"}))
    if arms:
        with pytest.raises(UserError, match=rf"space.trials: {arms + 1} arms are more than the {arms} that the param"):
            load_study(write_study(text, replace={"trials: 5": f"trials: {arms + 1}"}))


def test_a_space_without_anything_to_search_is_refused(write_study):
    text = re.sub(r"  parameters:.*(?=seeds)", "  parameters: {gain: 0.1, threshold: 1}\n", _STUDY, flags=re.S)
    with pytest.raises(UserError, match=r"space.parameters: every value is fixed"):
        load_study(write_study(text))
