"""The study files that come with the project."""

import math
from pathlib import Path
from typing import get_args

import pytest

from iskpo.closed_form import gain_table
from iskpo.settings import Estimator
from sweep.arms.paper import PAPER_ARMS, paper_arm, untried_by_the_paper
from sweep.study.plan import number_of_trials, plan_trials
from sweep.study.study import load_study

STUDIES = Path(__file__).parents[3] / "studies"


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_reads_plans_is_called_like_its_file_and_explains_itself(path):
    study = load_study(path)
    assert study.name == path.stem
    assert study.question
    assert number_of_trials(study)
    header = path.read_text().split("name:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "Cost:" in header
    assert "What would mean what" in header


def test_qv_kappa_holds_the_papers_three_main_arms_and_the_quadrant_it_never_tried():
    arms = load_study(STUDIES / "qv_kappa.yaml").arms
    assert len(arms) == 12
    assert {known.name for arm in arms if (known := paper_arm(arm))} == {"kpo-strong", "kpo-weak", "is-kpo-weak"}
    untried = [arm for arm in arms if untried_by_the_paper(arm)]
    assert [(arm.q, arm.v, arm.kappa) for arm in untried] == [(1e-6, 1e-2, 3.0), (1e-6, 1e-2, 1.0)]
    assert [round(arm.predicted_threshold, 2) for arm in untried] == [0.3, 0.1]
    assert all(round(arm.predicted_gain, 2) == 0.01 for arm in untried)


def test_stability_has_every_arm_at_both_rates_and_registers_comparisons_at_one_rate():
    study = load_study(STUDIES / "stability.yaml")
    rates = {arm.name: arm.settings["lr"] for arm in study.arms}
    names = {name.rpartition("_lr")[0] for name in rates}
    assert names == {"grpo", "no-filter", "kpo-strong", "kpo-weak", "is-kpo", "low-gain-clipping"}
    assert len(rates) == 2 * len(names)
    assert number_of_trials(study) == 36
    for pair in study.registered.comparisons:
        assert rates[pair.arm] == rates[pair.reference]


def test_negative_controls_have_a_rate_of_zero():
    rates = {arm.name: arm.settings.get("lr") for arm in load_study(STUDIES / "controls.yaml").arms}
    assert rates == {"grpo": None, "grpo-lr-0": 0, "kpo-strong-lr-0": 0}


def test_why_registers_one_difference_a_comparison():
    study = load_study(STUDIES / "why.yaml")
    arms = {arm.name: arm for arm in study.arms}
    assert len(study.registered.comparisons) == 9
    for pair in study.registered.comparisons:
        arm, reference = arms[pair.arm], arms[pair.reference]
        filters = (arm.q, arm.v) != (reference.q, reference.v)
        assert filters + (arm.kappa != reference.kappa) + (arm.settings != reference.settings) == 1, pair


def test_paper_arms_are_the_papers():
    arms = load_study(STUDIES / "paper_arms.yaml").arms
    assert [paper_arm(arm) for arm in arms] == list(PAPER_ARMS)
    assert [arm.name for arm in arms] == [known.name for known in PAPER_ARMS]


def test_smoke_is_two_trials_of_two_steps_one_of_which_can_clip():
    study = load_study(STUDIES / "smoke.yaml")
    strong, clipping = (trial.arm for trial in plan_trials(study))
    assert study.steps == 2
    assert math.isinf(strong.kappa)
    assert untried_by_the_paper(clipping)


def test_every_estimator_is_an_arm_of_a_shipped_study():
    named = {
        arm.estimator for name in ("robust_arms", "thresholds") for arm in load_study(STUDIES / f"{name}.yaml").arms
    }
    assert named == set(get_args(Estimator))


def test_thresholds_compares_thresholds_at_the_papers_weak_filter():
    arms = load_study(STUDIES / "thresholds.yaml").arms
    assert {(arm.q, arm.v) for arm in arms} == {(1e-2, 1.0)}
    assert paper_arm(arms[0]).name == "kpo-weak"
    assert paper_arm(arms[1]).name == "is-kpo-weak"


def test_ema_kpo_has_its_studys_rates():
    kpo, ema, *rates = load_study(STUDIES / "ema_kpo.yaml").arms
    assert (kpo.q, kpo.v, ema.estimator) == (1e-6, 1.0, "ema")
    for arm, rate in zip(rates, (1e-4, 1e-3, 1e-2), strict=True):
        assert gain_table(q=arm.q, v=arm.v, p0=arm.p0, length=1000) == pytest.approx(rate, rel=1e-9)


def test_robust_arms_compares_estimators_at_the_same_setting():
    arms = load_study(STUDIES / "robust_arms.yaml").arms
    assert {(arm.q, arm.v) for arm in arms} == {(1e-6, 1e-2)}
    assert {arm.kappa for arm in arms if arm.estimator != "ema"} == {1.0}
