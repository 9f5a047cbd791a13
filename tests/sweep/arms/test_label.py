"""What arms are called: as people write them, and no two of a study alike."""

import doctest
import math

import pytest

import sweep.arms.label
from sweep.arms.arm import Arm
from sweep.arms.label import arm_label
from sweep.study.plan import plan_trials
from sweep.study.study import Study


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(sweep.arms.label).failed == 0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": "Q1e-05_V1_k3", "q": 1e-5, "v": 1.0, "kappa": 3.0}, "Q = 1e-5, V = 1, κ = 3"),
        ({"name": "Q1_V1_k3_huber", "q": 1, "v": 1, "kappa": 3, "estimator": "huber"}, "Q = 1, V = 1, κ = 3 (huber)"),
        ({"name": "weak_huber", "q": 1e-2, "v": 1.0, "kappa": 3.0, "estimator": "huber"}, "weak_huber"),
        ({"name": "weak", "q": 1e-2, "v": 1.0, "kappa": 3.0, "estimator": "huber"}, "weak (huber)"),
        ({"name": "anything", "q": 1e-2, "v": 1.0, "settings": {"lr": 1e-4}}, "anything"),
        ({"name": "kpo-weak", "q": 1e-2, "v": 1.0, "settings": {"lr": 1e-4}}, "KPO-weak, lr 0.0001"),
        ({"name": "a_lr1e-05", "q": 1e-2, "v": 1.0, "settings": {"lr": 1e-5}}, "KPO-weak, lr 1e-5"),
        ({"name": "mine", "q": 1e-2, "v": 1.0, "numerics": "public-cumsum-fp32"}, "mine (public float32)"),
        ({"name": "grpo", "loss": "grpo"}, "GRPO"),
        ({"name": "baseline", "loss": "grpo"}, "baseline"),
        ({"name": "none_lr5e-05", "q": 1e15, "v": 1, "settings": {"lr": 5e-5}}, "none, lr 5e-5"),
    ],
)  # fmt: skip
def test_an_arm_is_called_what_people_write(settings: dict[str, object], expected: str) -> None:
    assert arm_label(Arm(**settings)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "space",
    [
        {"kind": "grid", "q": [1e-6, 1e-2], "v": [1, 0.01], "kappa": [math.inf, 3], "lr": [1e-5, 1e-4]},
        {"kind": "decoupled", "gain": [0.001, 0.1], "threshold": [math.inf, 0.3, 0.1]},
    ],
)
def test_no_two_arms_of_a_space_are_called_alike(space: dict[str, object]) -> None:
    plan = plan_trials(Study.model_validate({"name": "made", "space": space, "seeds": 1, "steps": 1}))
    labels = [arm_label(trial.arm) for trial in plan]
    assert len(set(labels)) == len(labels)
    assert not any("_" in label for label in labels)
