"""A study with arms that have no Kalman filter, from MLflow to the PDF."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from pypdf import PdfReader

from reports import write_report
from reports.analysis.arms import arm_table, planned_arm
from reports.data.load import load_record
from reports.figures.style import looks
from sweep.arms.arm import Arm

_SPACE = {
    "kind": "arms",
    "arms": [
        {"name": "is-kpo", "q": 1e-6, "v": 1e-2, "kappa": 1},
        {"name": "grpo", "loss": "grpo"},
        {"name": "gspo", "loss": "gspo", "clip_high": 1e-3},
        {"name": "krpo", "loss": "grpo", "advantage": "krpo"},
        {"name": "dapo", "loss": "dapo"},
        {"name": "sapo", "loss": "sapo", "dynamic_sampling": True},
    ],
}


@pytest.fixture(scope="module")
def output(record: Callable[..., Path]) -> Path:
    return record(space=_SPACE, not_started=("sapo_s0",), failed={"dapo_s0": "no prompt was mixed"})


def test_arms_come_back_as_they_were_planned_whether_or_not_they_started(output: Path) -> None:
    trials = load_record(output=output).trials
    planned = [planned_arm(trial=trial) for _, trial in trials.iterrows()]
    assert [arm.parameters for arm in planned] == [
        Arm(name="x", q=1e-6, v=1e-2, kappa=1.0).parameters,
        Arm(name="x", loss="grpo", clip_low=0.2, clip_high=0.2).parameters,
        Arm(name="x", loss="gspo", clip_low=3e-4, clip_high=1e-3).parameters,
        Arm(name="x", loss="grpo", advantage="krpo", clip_low=0.2, clip_high=0.2).parameters,
        Arm(name="x", loss="dapo", dynamic_sampling=True, clip_low=0.2, clip_high=0.28).parameters,
        Arm(name="x", loss="sapo", dynamic_sampling=True).parameters,
    ]
    without = trials[trials["loss"] != "iskpo"]
    assert without[["q", "v", "kappa", "p0", "rho0", "predicted_gain", "predicted_threshold"]].isna().all(axis=None)


def test_the_table_of_arms_has_accuracy_for_all_and_gain_for_those_with_a_filter(output: Path) -> None:
    arms = arm_table(study=load_record(output=output)).set_index("arm")
    assert arms["loss"].tolist() == ["iskpo", "grpo", "gspo", "grpo", "dapo", "sapo"]
    assert arms["accuracy"].notna().tolist() == [True, True, True, True, False, False]
    assert arms["realised_gain"].notna().tolist() == [True] + [False] * 5
    assert math.isnan(arms.loc["grpo", "threshold"])
    drawn = looks(arms=arms.reset_index())
    assert drawn["grpo"].colour == drawn["gspo"].colour != drawn["is-kpo"].colour
    assert drawn["grpo"].face == "white"


def test_entropy_divergence_and_mismatch_stand_beside_each_arm(output: Path) -> None:
    study = load_record(output=output)
    steps = study.steps.loc[study.steps["trial"] == "grpo_s0", "step"].to_numpy()
    arm = arm_table(study=study).set_index("arm").loc["grpo"]
    for name, values in (("entropy", 1 / steps), ("kl", 1e-3 * steps), ("mismatch", 1e-6 * steps)):
        assert arm[name] == pytest.approx(values.mean(), rel=1e-9)
        assert (arm[f"{name}_low"], arm[f"{name}_high"]) == pytest.approx((values.min(), values.max()), rel=1e-9)


def test_the_report_is_written_and_names_each_loss(output: Path) -> None:
    text = " ".join(page.extract_text() for page in PdfReader(write_report(output=output)).pages)
    for words in ("GSPO (Zheng et al. 2025", "advantage krpo", "dynamic sampling", "n/a"):
        assert words in text
