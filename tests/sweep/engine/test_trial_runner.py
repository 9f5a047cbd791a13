import math

import pytest

from sweep.engine.trial_runner import TrialFailed, check_echo
from sweep.plan import Arm, TrialPlan


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


@pytest.mark.parametrize(("name", "planned"), [("estimator", "huber"), ("numerics", "public-cumsum-fp32")])
def test_a_choice_that_differs_fails_the_trial(name: str, planned: str) -> None:
    with pytest.raises(TrialFailed, match=f"the plan says {name} = {planned}, the loss ran with"):
        check_echo(trial=_trial(3.0, **{name: planned}), metrics=_ECHO)
