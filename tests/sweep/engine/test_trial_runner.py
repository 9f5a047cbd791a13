import math
from pathlib import Path
from typing import Any

import pytest
from ray.tune.experiment import Trial

from iskpo.verl.names import ECHOES, LEARNING_RATE, RATIO_HIGH, RATIO_LOW, echo
from sweep.arms.arm import Arm
from sweep.engine.settings import trial_overrides
from sweep.engine.slot import Event
from sweep.engine.trial_runner import TrialFailed, TrialRunner, check_echo
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
_PLANNED = {RATIO_LOW: 3e-4, RATIO_HIGH: 4e-4}


def _check(trial: TrialPlan, metrics: dict[str, float]) -> None:
    check_echo(trial=trial, metrics=metrics, planned=_PLANNED)


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
    check_echo(trial=_GSPO, metrics=_GSPO_ECHO, planned={RATIO_LOW: 3e-4, RATIO_HIGH: 1e-3})
    sapo = TrialPlan(key="s_s0", arm=Arm(name="s", loss="sapo"), seed=0)
    bounds = {"loss/clip_low": 3e-4, "loss/clip_high": 4e-4}
    _check(sapo, {"loss/mode/sapo": 1.0, "advantage/grpo": 1.0, **bounds})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss/mode/gspo": None}, "the plan says loss = gspo, verl's gspo; verl ran with none"),
        ({"loss/mode/gspo": None, "loss/mode/vanilla": 1.0}, "verl ran with vanilla"),
        ({"loss/mode/vanilla": 1.0}, "verl ran with gspo, vanilla"),
        ({"loss/clip_high": 4e-4}, "the plan says eps_high = 0.001, the trial ran with 0.0004"),
        ({"loss/clip_low": None}, "the trial did not report the eps_low it ran with; the plan says 0.0003"),
        ({"advantage/krpo": None, "advantage/grpo": 1.0}, "the plan says advantage = krpo, the trainer ran with grpo"),
        ({"kalman/q": 1e-6}, "the plan says loss = gspo, the IS-KPO loss was in the loop"),
    ],
)
def test_another_loss_than_planned_fails_the_trial(changes: dict[str, float | None], message: str) -> None:
    metrics = {name: value for name, value in {**_GSPO_ECHO, **changes}.items() if value is not None}
    with pytest.raises(TrialFailed, match=message):
        check_echo(trial=_GSPO, metrics=metrics, planned={RATIO_LOW: 3e-4, RATIO_HIGH: 1e-3})


@pytest.mark.parametrize(
    ("name", "planned"),
    [("estimator", "huber"), ("numerics", "public-cumsum-fp32"), ("gradient", "through")],
)
def test_a_choice_that_differs_fails_the_trial(name: str, planned: str) -> None:
    with pytest.raises(TrialFailed, match=f"the plan says {name} = {planned}, the loss ran with"):
        _check(_trial(**{name: planned}), _ECHO)


@pytest.mark.parametrize("key", sorted(ECHOES))
def test_a_setting_of_verls_that_differs_or_is_missing_fails_the_trial(key: str) -> None:
    planned = {**_PLANNED, key: 2.0}
    metrics = {**_ECHO, ECHOES[key]: 2.0}
    check_echo(trial=_trial(), metrics=metrics, planned=planned)
    with pytest.raises(TrialFailed, match=r"the plan says \w+ = 2, the trial ran with 3"):
        check_echo(trial=_trial(), metrics={**metrics, ECHOES[key]: 3.0}, planned=planned)
    without = {name: value for name, value in metrics.items() if name != ECHOES[key]}
    with pytest.raises(TrialFailed, match=r"did not report the \w+ it ran with; the plan says 2"):
        check_echo(trial=_trial(), metrics=without, planned=planned)


@pytest.mark.parametrize(
    ("key", "value", "other"),
    [
        ("actor_rollout_ref.actor.grad_clip", 0.5, 2),
        ("actor_rollout_ref.actor.use_kl_loss", True, False),
        ("actor_rollout_ref.actor.optim.lr_scheduler_type", "cosine", "constant"),
        ("+data.new", 3, 4),
    ],
)
def test_any_other_setting_is_compared_with_the_configuration_that_the_trainer_runs_with(
    key: str, value: Any, other: Any
) -> None:
    trial, name = _trial(settings={key: value}), key.lstrip("+")
    _check(trial, {**_ECHO, **echo(name, value)})
    with pytest.raises(TrialFailed, match=f"the plan says {name} = {value}, the trial ran with {other}"):
        _check(trial, {**_ECHO, **echo(name, other)})
    with pytest.raises(TrialFailed, match=f"{name}"):
        _check(trial, _ECHO)


def test_an_arms_own_setting_is_what_the_plan_says() -> None:
    trial = _trial(settings={"lr": 1e-3})
    overrides = {LEARNING_RATE: 1e-6, **trial_overrides(trial=trial, folder=Path("folder"))}
    check_echo(trial=trial, metrics={**_ECHO, "setting/lr": 1e-3}, planned=_PLANNED | overrides)


def test_tune_keeps_no_statistics_of_a_trials_metrics() -> None:
    # Of each number in a mapping it keeps six, and all of them of all trials, in memory and on disk.
    runner = TrialRunner.__new__(TrialRunner)
    runner.__dict__ |= {"_slot": object(), "_compared": None, "_pending": [Event("step", 0, {"actor/lr": 1e-5})]}
    result = runner.step()
    tune_trial = Trial("a", stub=True)
    tune_trial.update_last_result({**result, "training_iteration": 1, "time_total_s": 1.0})
    assert not [name for name in tune_trial.metric_analysis if "actor" in name]
    assert dict(result["event"]["metrics"]) == {"actor/lr": 1e-5}
