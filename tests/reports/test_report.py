"""The document, from a real store to the text on its pages."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from pypdf import PdfReader

from reports import write_report
from reports.arms import arm_table, comparison_table, reference_arm
from reports.load import load_study
from reports.verdict import accuracy_sentence, clipping_sentence, seeds_sentence
from sweep.errors import UserError
from sweep.tracking import tracking_uri
from tests.reports.conftest import record_study


def test_ratios_are_exact_over_the_run(study_folder: Path) -> None:
    arms = arm_table(study=load_study(output=study_folder)).set_index("arm")
    assert arms.loc["low #gain_ $x$", "clip_fraction"] == pytest.approx(7 / 1000)
    gain = arms.loc["kpo-strong", "gain"]
    # Steps 1, 2, 3 have 1000, 2000, 3000 tokens and gains K/4, K/3, K/2: a weighted mean, not a mean of means.
    assert arms.loc["kpo-strong", "realised_gain"] == pytest.approx(gain * (1 / 4 + 2 / 3 + 3 / 2) / 6)
    assert arms.loc["kpo-strong", "max_innovation"] == pytest.approx(0.8)
    assert np.isinf(arms.loc["kpo-strong", "threshold"])
    assert arms.loc["broken", "failed"] == 1
    assert np.isnan(arms.loc["broken", "accuracy"])


def test_verdict_says_what_the_numbers_say(study_folder: Path) -> None:
    study = load_study(output=study_folder)
    arms = arm_table(study=study)
    comparisons = comparison_table(study=study, arms=arms)
    assert reference_arm(arms=arms) == "kpo-strong"
    assert "in arm(s) 2;" in clipping_sentence(arms=arms)
    # Arm 2 was made 30 points better, arm 3 hardly.
    assert re.search(r"arm 2 by \+\d+\.\d points\.$", accuracy_sentence(arms=arms, comparisons=comparisons))
    assert "One training seed" in seeds_sentence(study=study)
    silent = arms.assign(clip_fraction=arms["clip_fraction"] * 0)
    assert "No arm clipped" in clipping_sentence(arms=silent)
    weak = arms[arms["arm"] != "low #gain_ $x$"].assign(clip_fraction=0.1)
    assert "at a lower gain" in clipping_sentence(arms=weak[weak["gain"] > 0.05])


def test_the_document_holds_every_arm_and_is_attached(study_folder: Path) -> None:
    report = write_report(output=study_folder)
    reader = PdfReader(report)
    text = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    assert len(reader.pages) >= 3
    for expected in ("Does it work?", "low #gain_ $x$", "is-kpo-weak", "Holm", "1 failed", "not claims about models"):
        assert expected in text
    assert "the loss did not report q <&> #1" in text
    client = MlflowClient(tracking_uri=tracking_uri(study_folder))
    study = load_study(output=study_folder)
    assert {entry.path for entry in client.list_artifacts(study.run_id, "report")} >= {"report/report.pdf"}
    assert json.loads((report.parent / "report.json").read_text())["reference"] == "kpo-strong"
    # Again, over what is there: a report can be written anew at any time.
    assert write_report(output=study_folder) == report


def test_seeds_are_averaged_within_problems(tmp_path: Path) -> None:
    record_study(tmp_path, seeds=2)
    study = load_study(output=tmp_path)
    arms = arm_table(study=study)
    assert arms["seeds"].tolist() == [2, 2, 2, 0]
    assert arms["problems"].dropna().unique().tolist() == [40.0]
    assert "2 training seeds" in seeds_sentence(study=study)
    assert write_report(output=tmp_path).is_file()


def test_a_study_in_which_everything_failed_has_a_report(tmp_path: Path) -> None:
    from sweep.tracking import StudyTracking

    tracking = StudyTracking(output=tmp_path, study="s")
    tracking.start_study(name="s", question="", params={"profile": "tiny"}, files={})
    params = dict.fromkeys(("q", "v", "predicted_gain"), 0.1) | dict.fromkeys(("kappa", "predicted_threshold"), "inf")
    params |= {"p0": 0.0, "rho0": 0.0, "gradient": "straight_through", "numerics": "exact"}
    tracking.start_trial(key="a_s0", arm="a", seed=0, params=params)
    tracking.end_trial(key="a_s0", state="failed", reason="verl did not start")
    tracking.end_study(state="failed")
    text = " ".join(page.extract_text() for page in PdfReader(write_report(output=tmp_path)).pages)
    assert "verl did not start" in text
    assert "nothing can be said about clipping" in " ".join(text.split())


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no study"):
        load_study(output=tmp_path)
