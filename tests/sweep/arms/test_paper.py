import math

import pytest

from sweep.arms.arm import Arm
from sweep.arms.paper import LARGEST_INNOVATION, PAPER_ARMS, paper_arm, untried_by_the_paper


@pytest.mark.parametrize(
    ("name", "gain", "threshold"),
    [
        # Steady state K = (-q + sqrt(q^2 + 4 q)) / 2 and kappa sqrt(V / (1 - K)), worked out by hand.
        ("kpo-strong", 0.0009995, math.inf),
        ("kpo-weak", 0.0951249, math.inf),
        ("is-kpo-weak", 0.0951249, 3.15377),
        ("opt-0", 0.2, 1.118034),
        ("opt-1", 0.2701562, 0.740312),
    ],
)
def test_what_the_papers_arms_ran_at(name, gain, threshold):
    (known,) = [arm for arm in PAPER_ARMS if arm.name == name]
    arm = Arm(name=name, q=known.q, v=known.v, kappa=known.kappa)
    assert arm.predicted_gain == pytest.approx(gain, rel=1e-5)
    assert arm.predicted_threshold == pytest.approx(threshold, rel=1e-5)


def test_no_clipped_arm_of_the_paper_had_a_threshold_within_reach():
    clipped = [arm for arm in PAPER_ARMS if math.isfinite(arm.kappa)]
    arms = [Arm(name=arm.name, q=arm.q, v=arm.v, kappa=arm.kappa) for arm in clipped]
    assert min(arm.predicted_threshold for arm in arms) > LARGEST_INNOVATION


def test_an_arm_is_the_papers_only_with_the_papers_start_and_gradient():
    strong = {"name": "x", "q": 1e-6, "v": 1.0}
    found = paper_arm(Arm(**strong))
    assert found is not None
    assert found.title == "KPO-strong"
    for change in (
        {"p0": 0.1},
        {"rho0": 0.1},
        {"gradient": "through"},
        {"v": 1.1},
        {"kappa": 3.0},
        {"estimator": "ema"},
    ):
        assert paper_arm(Arm(**{**strong, **change})) is None


@pytest.mark.parametrize(
    ("q", "v", "kappa", "untried"),
    [
        (1e-6, 1e-2, 3.0, True),
        (1e-6, 1e-2, 1.0, True),
        (1e-6, 1e-2, math.inf, False),
        (1e-6, 1.0, 1.0, False),
        (1e-2, 1e-2, 1.0, False),
        (1e-2, 1.0, 3.0, False),
    ],
)
def test_what_the_paper_never_tried(q, v, kappa, untried):
    assert untried_by_the_paper(Arm(name="x", q=q, v=v, kappa=kappa)) is untried


def test_only_clipping_is_measured_against_the_papers_clipping():
    assert not untried_by_the_paper(Arm(name="x", q=1e-6, v=1e-2, kappa=1.0, estimator="huber"))


def test_the_threshold_of_an_arm_is_its_estimators():
    arm = {"name": "x", "q": 1e-2, "v": 1.0, "kappa": 3.0}
    threshold = {
        name: Arm(**arm, estimator=name).predicted_threshold for name in ("clip", "huber", "saturated", "wolf")
    }
    assert threshold["clip"] == threshold["huber"] == pytest.approx(3.15377, rel=1e-5)
    assert threshold["saturated"] == threshold["wolf"] == 3.0
