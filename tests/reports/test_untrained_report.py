"""The untrained model beside the arms: judged once a seed, and what training changed of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from reports import write_report
from reports.analysis.arms import arm_table, reference_arm
from reports.analysis.study_statistics import Analysis, analyse
from reports.analysis.training_effect import UNTRAINED, untrained_accuracy
from reports.data.load import StudyRecord, load_record
from reports.text.training_text import training_sentence
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.study_tracking import StudyTracking
from sweep.store.trial_tables import keep_samples

_SPACE = {
    "kind": "arms",
    "arms": [{"name": "kpo-strong", "q": 1e-6, "v": 1}, {"name": "weak", "q": 1e-2, "v": 1}],
}
_SEEDS, _PROBLEMS = 2, 40


@pytest.fixture(scope="module")
def output(record: Callable[..., Path]) -> Path:
    """The first arm's trials judged the untrained model, which is right in every fourth problem."""
    output = record(space=_SPACE, seeds=_SEEDS, problems=_PROBLEMS)
    tracking = StudyTracking(output=output, study=load_record(output=output).name)
    tracking.resume_study()
    for seed in range(_SEEDS):
        dump = output / "0.jsonl"
        dump.write_text("".join(json.dumps(_sample(problem)) + "\n" for problem in range(_PROBLEMS)))
        table, metrics = keep_samples(dump, step=0, k=1)
        tracking.log_samples(key=f"kpo-strong_s{seed}", step=0, path=table, metrics=metrics)
    tracking.end_study(state="finished")
    return output


def _sample(problem: int) -> dict[str, Any]:
    found = {"input": "1+1=", "output": "2", "gts": "2", "score": float(problem % 4 == 0), "step": 0}
    return {**found, "benchmark": "arithmetic", "problem_id": f"p{problem:03d}"}


def _analysed(study: StudyRecord) -> tuple[Any, Analysis]:
    arms = arm_table(study=study)
    return arms, analyse(study=study, arms=arms, reference=reference_arm(arms=arms))


def test_it_is_no_evaluation_of_the_trial_that_judged_it(output: Path) -> None:
    study = load_record(output=output)
    assert study.samples["step"].min() > 0
    assert len(study.untrained) == _SEEDS * _PROBLEMS
    runs = {run.trial: run for run in recorded_runs(output, metrics=("*",))}
    metrics = runs["kpo-strong_s0"].metrics
    assert metrics["untrained/arithmetic/avg_at_1"] == 0.25
    assert metrics["eval/arithmetic/avg_at_4"] != 0.25
    assert "eval/arithmetic/avg_at_1" not in metrics


def test_every_arm_is_compared_with_it_by_problem_and_seed(output: Path) -> None:
    arms, analysis = _analysed(load_record(output=output))
    found = untrained_accuracy(untrained=analysis.untrained)
    assert found is not None
    assert (found["accuracy"], set(analysis.untrained["arm"])) == (0.25, {UNTRAINED})
    rows = analysis.training.set_index("arm")
    assert list(rows.index) == ["kpo-strong", "weak"]
    for name, row in rows.iterrows():
        accuracy = arms.set_index("arm").loc[name, "accuracy"]
        assert row["difference"] == pytest.approx(accuracy - 0.25)
        assert row["simultaneous_low"] < row["low"] < row["difference"] < row["high"] < row["simultaneous_high"]
        assert (row["problems"], row["seeds"]) == (_PROBLEMS, _SEEDS)
    assert (rows["p_adjusted"] >= rows["p"]).all()
    # It takes no part in the comparisons of arms.
    assert UNTRAINED not in set(analysis.comparisons["arm"])
    assert training_sentence(analysis=analysis, arms=arms).startswith("The untrained model is right in 25 %")


def test_the_report_says_what_training_changed(output: Path) -> None:
    text = " ".join(" ".join(page.extract_text() for page in PdfReader(write_report(output=output)).pages).split())
    for words in ("What training changed", "the untrained model", "Dotted: the untrained model"):
        assert words in text
    assert (output / "report" / "data" / "training.csv").exists()


def test_a_study_that_did_not_judge_it_says_nothing_of_it(record: Callable[..., Path]) -> None:
    arms, analysis = _analysed(load_record(output=record(space=_SPACE)))
    assert untrained_accuracy(untrained=analysis.untrained) is None
    assert analysis.training.empty
    assert training_sentence(analysis=analysis, arms=arms) == ""
