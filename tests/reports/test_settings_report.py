"""A study whose arms differ in verl's settings, from MLflow to tables, exports and the PDF."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from pypdf import PdfReader

import sweep
from reports import write_report
from reports.analysis.arms import arm_table, planned_arm
from reports.data.load import load_record
from sweep.arms.arm import Arm
from sweep.store.exports import export

_KL = "actor_rollout_ref.actor.use_kl_loss"
_SPACE = {
    "kind": "arms",
    "arms": ["kpo-strong", {"name": "grpo", "loss": "grpo", "temperature": 0.9}],
    "lr": [1e-5, 1e-4],
    _KL: [True],
}


@pytest.fixture(scope="module")
def output(record: Callable[..., Path]) -> Path:
    return record(space=_SPACE, not_started=("grpo_lr0.0001_use_kl_losstrue_s0",))


def test_arms_come_back_with_their_settings_whether_or_not_they_started(output: Path) -> None:
    trials = load_record(output=output).trials
    planned = [planned_arm(trial=trial) for _, trial in trials.iterrows()]
    common = {_KL: True}
    assert [arm.settings for arm in planned] == [
        {"lr": 1e-5, **common},
        {"temperature": 0.9, "lr": 1e-5, **common},
        {"lr": 1e-4, **common},
        {"temperature": 0.9, "lr": 1e-4, **common},
    ]
    assert planned[0].parameters == Arm(name="x", q=1e-6, v=1.0, settings={"lr": 1e-5, **common}).parameters
    assert trials["state"].tolist() == ["finished"] * 3 + ["not started"]


def test_an_arm_of_the_paper_is_called_by_its_settings_too(output: Path) -> None:
    arms = arm_table(study=load_record(output=output))
    assert arms["label"].tolist() == [
        "KPO-strong, lr 1e-5, use_kl_loss true",
        "GRPO, lr 1e-5, use_kl_loss true",
        "KPO-strong, lr 0.0001, use_kl_loss true",
        "GRPO, lr 0.0001, use_kl_loss true",
    ]


def test_tables_exports_and_the_report_have_them(output: Path, tmp_path: Path) -> None:
    study = sweep.load(output)
    assert study.trials["lr"].tolist()[:3] == [1e-5, 1e-5, 1e-4]
    assert study.trials[_KL].tolist()[:3] == [True] * 3
    (path,) = export(study=study, format="optuna", folder=tmp_path / "optuna")
    made = optuna.load_study(study_name=study.name, storage=f"sqlite:///{path}")
    assert [trial.params["lr"] for trial in made.trials] == [1e-5, 1e-5, 1e-4]
    assert [trial.params[_KL] for trial in made.trials] == [True] * 3
    assert made.trials[1].params["temperature"] == 0.9
    write_report(output=output)
    text = " ".join(page.extract_text() for page in PdfReader(output / "report" / "report.pdf").pages)
    assert "lr 0.0001" in text


def test_without_bounds_no_token_lies_outside(record: Callable[..., Path]) -> None:
    arms = [
        {"name": "bounded", "q": 1e-6, "v": 1},
        {"name": "open", "q": 1e-6, "v": 1, "clip": False},
        {"name": "grpo", "loss": "grpo"},
    ]
    table = arm_table(study=load_record(output=record(space={"kind": "arms", "arms": arms}))).set_index("arm")
    assert table.loc["open", ["outside_share", "outside_share_low", "outside_share_high"]].tolist() == [0.0] * 3
    assert table.loc["grpo", "outside_share"] != 0.0
