"""Trials that are others by proof, from MLflow to the PDF: no results of their own; and the noise of those trained."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from reports import write_report
from reports.analysis.arms import arm_table, reference_arm, twin_arms
from reports.analysis.study_statistics import Analysis, analyse
from reports.analysis.twins import noise_table
from reports.data.load import load_record
from reports.statistics.verdicts import verdict_counts
from reports.text.twins_text import noise_sentence
from sweep.store.plan_file import arm_params
from sweep.store.study_tracking import StudyTracking
from sweep.study.plan import plan_trials
from sweep.study.study import Study

# Innovations reach about 1 in these made-up steps: kappa 1 clips at V = 1e-2, and nothing at V = 1.
_SPACE = {
    "kind": "arms",
    "arms": [
        {"name": "kpo-weak", "q": 1e-2, "v": 1},
        {"name": "is-kpo-weak", "q": 1e-2, "v": 1, "kappa": 3},
        {"name": "kpo-strong", "q": 1e-6, "v": 1},
        {"name": "unreached", "q": 1e-6, "v": 1, "kappa": 2},
        {"name": "clipping", "q": 1e-6, "v": 1e-2, "kappa": 1},
    ],
}
_TWINS = {"is-kpo-weak": "kpo-weak", "unreached": "kpo-strong"}


@pytest.fixture(scope="module")
def output(record: Callable[..., Path]) -> Path:
    """Two arms of five were recorded as others."""
    output = record(space=_SPACE, not_started=tuple(f"{arm}_s0" for arm in _TWINS))
    study = Study.model_validate({"name": "made", "space": _SPACE, "steps": 3})
    tracking = StudyTracking(output=output, study=load_record(output=output).name)
    tracking.resume_study()
    for trial in plan_trials(study):
        if original := _TWINS.get(trial.arm.name):
            tracking.record_twin(
                key=trial.key,
                original=f"{original}_s0",
                why="threshold never reached",
                kappa=trial.arm.kappa,
                arm=trial.arm.name,
                seed=0,
                params=arm_params(trial.arm) | {"profile": "tiny"},
            )
    tracking.end_study(state="finished")
    return output


def _analysed(output: Path) -> tuple[Any, Analysis]:
    study = load_record(output=output)
    arms = arm_table(study=study)
    return arms, analyse(study=study, arms=arms, reference=reference_arm(arms=arms))


def test_twins_are_known_and_have_the_originals_numbers(output: Path) -> None:
    study = load_record(output=output)
    assert twin_arms(trials=study.trials) == _TWINS
    arms = arm_table(study=study).set_index("arm")
    assert set(study.trials["state"]) == {"finished"}
    for twin, original in _TWINS.items():
        assert arms.loc[twin, "accuracy"] == arms.loc[original, "accuracy"]
        assert arms.loc[twin, "realised_gain"] == arms.loc[original, "realised_gain"]
        assert arms.loc[twin, "same_as"] == original


def test_a_twin_is_not_tested_and_takes_no_part_in_a_correction(output: Path) -> None:
    _, analysis = _analysed(output)
    rows = analysis.comparisons.set_index("arm")
    own = rows.loc["unreached"]
    assert (own["difference"], own["same_as"]) == (0.0, "kpo-strong")
    assert all(math.isnan(own[name]) for name in ("low", "high", "p", "p_adjusted"))
    for name in ("difference", "low", "high", "p", "p_adjusted"):
        assert rows.loc["is-kpo-weak", name] == rows.loc["kpo-weak", name]
    assert rows.loc["is-kpo-weak", "same_as"] == "kpo-weak"
    assert analysis.comparison is not None
    assert sorted(analysis.comparison.rows["arm"]) == ["clipping", "kpo-weak"]


def test_the_report_says_which_trials_they_are(output: Path) -> None:
    text = " ".join(page.extract_text() for page in PdfReader(write_report(output=output)).pages)
    for words in ("KPO-weak; also IS-KPO-weak", "KPO-strong; also κ = 2", "2 of these without training"):
        assert words in " ".join(text.split())
    content = json.loads((output / "report" / "report.json").read_text(encoding="utf-8"))
    # An arm and those that it is by proof are one row in every table.
    for table in ("summary", "arms", "innovations", "comparisons"):
        assert not any("unreached" in " ".join(row) for row in content[table])
    assert [row[0] for row in content["summary"]] == ["1, 2", "3, 4", "5"]
    full = " ".join(page.extract_text() for page in PdfReader(write_report(output=output, full=True)).pages)
    assert "threshold never reached" in " ".join(full.split())


def test_trained_twins_measure_the_noise_between_two_runs(record: Callable[..., Path]) -> None:
    study = load_record(output=record(space=_SPACE))
    noise = noise_table(study=study, verdicts=verdict_counts(samples=study.samples))
    assert set(zip(noise["trial"], noise["other"], strict=True)) == {
        (f"{twin}_s0", f"{original}_s0") for twin, original in _TWINS.items()
    }
    # The made-up samples follow from gain and seed, which twins share.
    assert noise["difference"].tolist() == [0.0, 0.0]
    assert "not a problem's answers" in noise_sentence(noise=noise)
    apart = noise.assign(difference=[0.0, -0.0078], differing=[0, 12])
    assert "up to 0.8 points, and 1 of them on no problem" in noise_sentence(noise=apart)
