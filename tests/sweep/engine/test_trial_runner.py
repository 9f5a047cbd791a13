import math

import pytest

from sweep.arms.arm import Arm
from sweep.engine.trial_runner import TrialFailed, check_echo
from sweep.study.plan import TrialPlan


def _trial(kappa: float, **choices: str) -> TrialPlan:
    arm = Arm(name="a", q=1e-6, v=1e-2, kappa=kappa, p0=0.0, rho0=0.0, gradient="straight_through", **choices)
    return TrialPlan(key="a_s0", arm=arm, seed=0)


_ECHO = {
    "kalman/q": 1e-6,
    "kalman/v": 1e-2,
    "kalman/kappa": 3.0,
    "kalman/p0": 0.0,
    "kalman/estimator/clip": 1.0,
    "kalman/numerics/exact": 1.0,
}


def test_the_planned_parameters_pass() -> None:
    check_echo(trial=_trial(3.0), metrics=_ECHO)
    check_echo(trial=_trial(math.inf), metrics={name: value for name, value in _ECHO.items() if "kappa" not in name})


@pytest.mark.parametrize("name", ["kalman/q", "kalman/v", "kalman/kappa"])
def test_a_parameter_that_differs_fails_the_trial(name: str) -> None:
    with pytest.raises(TrialFailed, match="the plan says"):
        check_echo(trial=_trial(3.0), metrics={**_ECHO, name: _ECHO[name] * 1.001})


@pytest.mark.parametrize("name", sorted(_ECHO))
def test_a_parameter_that_is_missing_fails_the_trial(name: str) -> None:
    with pytest.raises(TrialFailed, match="did not report"):
        check_echo(trial=_trial(3.0), metrics={key: value for key, value in _ECHO.items() if key != name})


def test_clipping_that_was_not_planned_fails_the_trial() -> None:
    with pytest.raises(TrialFailed, match="inf"):
        check_echo(trial=_trial(math.inf), metrics=_ECHO)


_GSPO = TrialPlan(key="g_s0", arm=Arm(name="g", loss="gspo", advantage="krpo", clip_high=1e-3), seed=0)
_GSPO_ECHO = {"loss/mode/gspo": 1.0, "loss/clip_low": 3e-4, "loss/clip_high": 1e-3, "advantage/krpo": 1.0}


def test_a_neighbours_loss_passes_with_its_own_echo() -> None:
    check_echo(trial=_GSPO, metrics=_GSPO_ECHO)
    sapo = TrialPlan(key="s_s0", arm=Arm(name="s", loss="sapo"), seed=0)
    check_echo(trial=sapo, metrics={"loss/mode/sapo": 1.0, "loss/clip_low": 0.2, "advantage/grpo": 1.0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss/mode/gspo": None}, "the plan says loss = gspo, verl's gspo; verl ran with none"),
        ({"loss/mode/gspo": None, "loss/mode/vanilla": 1.0}, "verl ran with vanilla"),
        ({"loss/mode/vanilla": 1.0}, "verl ran with gspo, vanilla"),
        ({"loss/clip_high": 4e-4}, "the plan says clip_high = 0.001, the loss ran with 0.0004"),
        ({"loss/clip_low": None}, "the plan says clip_low = 0.0003, the loss ran with nan"),
        ({"advantage/krpo": None, "advantage/grpo": 1.0}, "the plan says advantage = krpo, the trainer ran with grpo"),
        ({"kalman/q": 1e-6}, "the plan says loss = gspo, the IS-KPO loss was in the loop"),
    ],
)
def test_another_loss_than_planned_fails_the_trial(changes: dict[str, float | None], message: str) -> None:
    metrics = {name: value for name, value in {**_GSPO_ECHO, **changes}.items() if value is not None}
    with pytest.raises(TrialFailed, match=message):
        check_echo(trial=_GSPO, metrics=metrics)


@pytest.mark.parametrize(("name", "planned"), [("estimator", "huber"), ("numerics", "public-cumsum-fp32")])
def test_a_choice_that_differs_fails_the_trial(name: str, planned: str) -> None:
    with pytest.raises(TrialFailed, match=f"the plan says {name} = {planned}, the loss ran with"):
        check_echo(trial=_trial(3.0, **{name: planned}), metrics=_ECHO)
