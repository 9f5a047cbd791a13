"""A study whose arms differ in verl's settings, from MLflow to tables, exports and the PDF."""

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd
import pytest
from pypdf import PdfReader

import sweep
from reports import write_report
from reports.analysis.arms import arm_table, planned_arm
from reports.analysis.study_statistics import analyse
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


def test_with_settings_of_its_own_no_arm_is_as_in_the_paper(output: Path) -> None:
    study = load_record(output=output)
    arms = arm_table(study=study)
    assert arms["title"].tolist() == ["KPO-strong", "", "KPO-strong", ""]

    def planned(changed: pd.DataFrame) -> list[bool]:
        found = analyse(study=study, arms=changed, reference=arms["arm"][0], checks=False)
        return [bool(value) for value in found.comparisons.set_index("arm").loc[arms["arm"][1:3], "planned"]]

    assert planned(arms) == [False, False]
    assert planned(arms.assign(settings="")) == [False, True]


def test_tables_exports_and_the_report_have_them(output: Path, tmp_path: Path) -> None:
    study = sweep.load(output)
    assert study.trials["lr"].tolist()[:3] == [1e-5, 1e-5, 1e-4]
    assert study.trials[_KL].tolist()[:3] == [True] * 3
    (path,) = export(study=study, format="optuna", folder=tmp_path / "optuna")
    made = optuna.load_study(study_name=study.name, storage=f"sqlite:///{path}")
    assert [trial.params["lr"] for trial in made.trials] == [1e-5, 1e-5, 1e-4]
    assert [trial.params[_KL] for trial in made.trials] == [True] * 3
    assert made.trials[1].params["temperature"] == 0.9
    report = write_report(output=output, full=True)
    text = " ".join(page.extract_text() for page in PdfReader(report).pages)
    assert "lr 0.0001" in text
    # The policy's own numbers: of the steps' 1/step, 0.001 step and 0.000001 step the mean, the least and the most.
    assert "Mismatch, nats" in text
    policies = json.loads((report.parent / "report.json").read_text(encoding="utf-8"))["policies"]
    assert [row[2:5] for row in policies if "GRPO" in row[1]] == [
        ["0.61 [0.33, 1]", "0.002 [0.001, 0.003]", "2·10⁻⁶ [10⁻⁶, 3·10⁻⁶]"]
    ]


def test_without_bounds_no_token_lies_outside(record: Callable[..., Path]) -> None:
    arms = [
        {"name": "bounded", "q": 1e-6, "v": 1},
        {"name": "open", "q": 1e-6, "v": 1, "clip": False},
        {"name": "grpo", "loss": "grpo"},
    ]
    table = arm_table(study=load_record(output=record(space={"kind": "arms", "arms": arms}))).set_index("arm")
    assert table.loc["open", ["outside_share", "outside_share_low", "outside_share_high"]].tolist() == [0.0] * 3
    assert table.loc["grpo", "outside_share"] != 0.0
