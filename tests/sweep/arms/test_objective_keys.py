"""Arms that differ in the objective's bounds or in where the threshold comes from, from YAML to verl and back."""

import math
from pathlib import Path

import pytest

from iskpo.verl.names import (
    OUTSIDE_SHARE,
    OVERLONG_BUFFER,
    RATIO_HIGH,
    RATIO_LOW,
    ROLLOUT_BYPASS,
    ROLLOUT_WEIGHTS,
)
from sweep.arms.arm import Arm
from sweep.arms.paper import note
from sweep.engine.settings import trial_overrides
from sweep.engine.trial_runner import TrialFailed, check_echo
from sweep.input.errors import UserError
from sweep.store.plan_file import arm_params
from sweep.study.plan import TrialPlan
from sweep.study.study import load_study

_STUDY = """\
name: n
space:
  kind: arms
  arms:
    - {name: a, q: 1e-2, v: 1, KEYS}
steps: 1
"""
_ECHO = {
    "kalman/q": 1e-2, "kalman/v": 1.0, "kalman/p0": 0.0, "kalman/rho0": 0.0, "kalman/gradient/straight_through": 1.0,
    "kalman/numerics/exact": 1.0, "kalman/estimator/clip": 1.0,
}  # fmt: skip


def _arm(write_study, keys: str) -> Arm:
    return load_study(write_study(_STUDY.replace("KEYS", keys))).arms[0]


def _overrides(arm: Arm) -> dict:
    return trial_overrides(trial=TrialPlan(key="k", arm=arm, seed=0), folder=Path("folder"))


def test_false_is_no_clipping_and_stands_as_0_with_verl(write_study):
    arm = _arm(write_study, "clip: false")
    assert arm.verl_settings() == {RATIO_LOW: 0.0, RATIO_HIGH: 0.0}
    assert {RATIO_LOW: 0.0, RATIO_HIGH: 0.0}.items() <= _overrides(arm).items()
    assert note(arm).startswith("clip false")
    assert arm_params(arm)["clip"] is False
    assert arm.parameters != Arm(name="a", q=1e-2, v=1.0).parameters


@pytest.mark.parametrize(
    ("arm", "metric", "wrong"),
    [
        (Arm(name="a", q=1e-2, v=1.0, settings={"clip": False}), {"loss/clip_low": 0.0, "loss/clip_high": 0.0}, 3e-4),
        (Arm(name="a", q=1e-2, v=1.0, settings={"outside_share": 0.1}), {"loss/outside_share": 0.1}, 0.0),
        (Arm(name="a", q=1e-2, v=1.0, settings={"overlong_buffer": 16}), {"setting/overlong_buffer": 16.0}, 0.0),
    ],
    ids=["clip", "outside_share", "overlong_buffer"],
)
def test_what_the_loss_ran_with_is_compared_with_the_plan(arm, metric, wrong):
    trial = TrialPlan(key="k", arm=arm, seed=0)
    planned = arm.verl_settings()
    check_echo(trial=trial, metrics=_ECHO | metric, planned=planned)
    name = next(iter(metric))
    with pytest.raises(TrialFailed, match="the plan says"):
        check_echo(trial=trial, metrics=_ECHO | metric | {name: wrong}, planned=planned)
    with pytest.raises(TrialFailed, match="did not report"):
        check_echo(trial=trial, metrics=_ECHO, planned=planned)


def test_a_state_threshold_is_compared_with_the_plan():
    arm = Arm(name="a", q=1e-2, v=1.0, kappa=0.3, state_kappa=0.03, estimator="two_step")
    trial = TrialPlan(key="k", arm=arm, seed=0)
    echo = {name: value for name, value in _ECHO.items() if "estimator" not in name}
    echo |= {"kalman/estimator/two_step": 1.0, "kalman/kappa": 0.3}
    check_echo(trial=trial, metrics=echo | {"kalman/state_kappa": 0.03}, planned={})
    with pytest.raises(TrialFailed, match=r"state_kappa = 0.03, the loss ran with 0.3"):
        check_echo(trial=trial, metrics=echo | {"kalman/state_kappa": 0.3}, planned={})
    with pytest.raises(TrialFailed, match="did not report the state_kappa"):
        check_echo(trial=trial, metrics=echo, planned={})


def test_an_arm_without_a_filter_is_a_gain_of_1(write_study):
    arm = load_study(write_study(_STUDY.replace("q: 1e-2, v: 1, KEYS", "q: 1e15, v: 1"))).arms[0]
    assert arm.predicted_gain == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize(
    "estimator", ["mad", "ewma", "quantile", "adaptive", "batch_mad", "batch_mean", "batch_quantile"]
)
def test_a_threshold_from_data_is_not_predicted(write_study, estimator):
    arm = _arm(write_study, f"kappa: 0.9, estimator: {estimator}")
    assert math.isnan(arm.predicted_threshold)
    assert arm.predicted_gain == pytest.approx(0.0951, abs=1e-4)
    assert arm_params(arm)["predicted_threshold"] == "none"
    assert "threshold depends on the data" in note(arm)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("clip: true", "clip: must be a number, or false, got True"),
        ("outside_share: 1", "outside_share: must be < 1, got 1"),
        ("outside_share: 0", "outside_share: must be > 0, got 0"),
        ("outside_share: false", "outside_share: must be a number, got False"),
        ("outside_share: 0.1, clip: false", "outside_share: with clip: false there are no bounds to set"),
        ("kappa: 3, estimator: quantile", "estimator quantile: kappa is the share of innovations that pass"),
        ("estimator: batch_mad", r"estimator batch_mad with kappa = .inf is the plain Kalman filter"),
        ("kappa: 3, state_kappa: 1", "estimator clip has no threshold of the state"),
        ("kappa: 3, state_kappa: 0, estimator: two_step", "state_kappa: must be > 0"),
        ("overlong_buffer: 2.5", "overlong_buffer: must be a whole number, got 2.5"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(write_study, keys, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        _arm(write_study, keys)


@pytest.mark.parametrize(
    ("keys", "message"), [("outside_share: 0.1", "has bounds of its own"), ("clip: false", "sets it")]
)
def test_a_neighbour_keeps_its_bounds(write_study, keys, message):
    text = _STUDY.replace("q: 1e-2, v: 1, KEYS", f"loss: grpo, {keys}")
    with pytest.raises(UserError, match=message):
        load_study(write_study(text))


def test_settings_of_a_session_are_what_an_arm_without_them_goes_back_to(write_study):
    from sweep.engine.settings import session_overrides
    from sweep.profiles.profile import load_profile
    from sweep.tasks import PreparedTask

    study = load_study(write_study(_STUDY.replace(", KEYS", "")))
    task = PreparedTask(Path("m"), Path("t"), {"arithmetic": Path("e")}, Path("r"), Path("s"))
    shared = session_overrides(study=study, profile=load_profile("tiny"), task=task)
    assert (shared[f"+{OUTSIDE_SHARE}"], shared[f"+{OVERLONG_BUFFER}"]) == (0.0, 0)
    assert (shared[ROLLOUT_WEIGHTS], shared[ROLLOUT_BYPASS]) == (None, False)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            "{kind: decoupled, gain: [0.01], threshold: [0.1]}\nestimator: mad",
            "space.threshold: .*mad sets its threshold",
        ),
        (
            "{kind: optuna, trials: 2, objective: [accuracy], parameters: {gain: 0.01, threshold: 0.1,"
            " estimator: {choices: [clip, ewma]}}}",
            "ewma sets its threshold from data: search over q and v",
        ),
    ],
    ids=["decoupled", "optuna"],
)
def test_a_threshold_from_data_has_no_place_on_the_plane(write_study, space, message):
    with pytest.raises(UserError, match=message):
        load_study(write_study(f"name: n\nspace: {space}\nsteps: 1\n"))
