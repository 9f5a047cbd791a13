import math
from typing import Any

import pytest

from sweep.arms.arm import Arm
from sweep.engine.trial_runner import TrialFailed, check_echo
from sweep.study.plan import TrialPlan


def _trial(kappa: float = 3.0, **others: Any) -> TrialPlan:
    arm = Arm(name="a", q=1e-6, v=1e-2, kappa=kappa, **others)
    return TrialPlan(key="a_s0", arm=arm, seed=0)


_ECHO = {
    "kalman/q": 1e-6,
    "kalman/v": 1e-2,
    "kalman/kappa": 3.0,
    "kalman/p0": 0.0,
    "kalman/rho0": 0.0,
    "kalman/gradient/straight_through": 1.0,
    "kalman/estimator/clip": 1.0,
    "kalman/numerics/exact": 1.0,
    "loss/clip_low": 3e-4,
    "loss/clip_high": 4e-4,
}
_BOUNDS = (3e-4, 4e-4)


def _check(trial: TrialPlan, metrics: dict[str, float]) -> None:
    check_echo(trial=trial, metrics=metrics, bounds=_BOUNDS)


def test_the_planned_parameters_pass() -> None:
    _check(_trial(), _ECHO)
    _check(_trial(math.inf), {name: value for name, value in _ECHO.items() if "kappa" not in name})


@pytest.mark.parametrize("name", ["kalman/q", "kalman/v", "kalman/kappa", "loss/clip_low", "loss/clip_high"])
def test_a_parameter_that_differs_fails_the_trial(name: str) -> None:
    with pytest.raises(TrialFailed, match="the plan says"):
        _check(_trial(), {**_ECHO, name: _ECHO[name] * 1.001})


@pytest.mark.parametrize("name", ["p0", "rho0"])
def test_a_start_that_differs_fails_the_trial(name: str) -> None:
    with pytest.raises(TrialFailed, match=f"the plan says {name} = 0.25, the loss ran with 0.0"):
        _check(_trial(**{name: 0.25}), _ECHO)
    with pytest.raises(TrialFailed, match=f"the plan says {name} = 0.0, the loss ran with 0.25"):
        _check(_trial(), {**_ECHO, f"kalman/{name}": 0.25})


@pytest.mark.parametrize("name", sorted(name for name in _ECHO if name.startswith("kalman/")))
def test_a_parameter_that_is_missing_fails_the_trial(name: str) -> None:
    with pytest.raises(TrialFailed, match="did not report"):
        _check(_trial(), {key: value for key, value in _ECHO.items() if key != name})


def test_clipping_that_was_not_planned_fails_the_trial() -> None:
    with pytest.raises(TrialFailed, match="inf"):
        _check(_trial(math.inf), _ECHO)


_GSPO = TrialPlan(key="g_s0", arm=Arm(name="g", loss="gspo", advantage="krpo", clip_high=1e-3), seed=0)
_GSPO_ECHO = {"loss/mode/gspo": 1.0, "loss/clip_low": 3e-4, "loss/clip_high": 1e-3, "advantage/krpo": 1.0}


def test_a_neighbours_loss_passes_with_its_own_echo() -> None:
    check_echo(trial=_GSPO, metrics=_GSPO_ECHO, bounds=(3e-4, 1e-3))
    sapo = TrialPlan(key="s_s0", arm=Arm(name="s", loss="sapo"), seed=0)
    bounds = {"loss/clip_low": 3e-4, "loss/clip_high": 4e-4}
    _check(sapo, {"loss/mode/sapo": 1.0, "advantage/grpo": 1.0, **bounds})


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
        check_echo(trial=_GSPO, metrics=metrics, bounds=(3e-4, 1e-3))


@pytest.mark.parametrize(
    ("name", "planned"),
    [("estimator", "huber"), ("numerics", "public-cumsum-fp32"), ("gradient", "through")],
)
def test_a_choice_that_differs_fails_the_trial(name: str, planned: str) -> None:
    with pytest.raises(TrialFailed, match=f"the plan says {name} = {planned}, the loss ran with"):
        _check(_trial(**{name: planned}), _ECHO)
