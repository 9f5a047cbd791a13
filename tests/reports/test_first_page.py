"""The first page: it answers what this study asked, and says nothing of what it did not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from reports import write_report
from reports.analysis.arms import arm_table, reference_arm
from reports.analysis.study_statistics import analyse
from reports.analysis.tension import bounds_of, replayed_grid
from reports.data.load import StudyRecord, load_record
from reports.document import typeset
from reports.statistics.verdicts import verdict_counts
from reports.text.first_page import first_page
from reports.text.statistics_text import statistics_content
from reports.text.verdict import accuracy_sentence
from sweep.study.registered import Registered
from tests.reports.conftest import ARMS

_PAIR = {"kind": "arms", "arms": [ARMS["arms"][0], ARMS["arms"][2]]}
_REGISTERED = Registered.model_validate({"comparisons": [{"arm": "kpo-strong", "reference": "kpo-weak"}]})


def _page(study: StudyRecord, output: Path) -> dict[str, Any]:
    verdicts = verdict_counts(samples=study.samples)
    arms = arm_table(study=study, verdicts=verdicts)
    reference = reference_arm(arms=arms)
    return first_page(
        study=study,
        arms=arms,
        analysis=analyse(study=study, arms=arms, reference=reference, verdicts=verdicts),
        reference=reference,
        grid=replayed_grid(output=output, study=study, arms=arms),
        bounds=bounds_of(registered=study.registered),
    )


def _text(report: Path) -> str:
    return " ".join(page.extract_text() for page in PdfReader(report).pages)


@pytest.fixture(scope="module")
def pair(record: Callable[..., Path]) -> Path:
    """Two arms without thresholds, two seeds."""
    return record(space=_PAIR, seeds=2, problems=12)


def test_what_was_registered_comes_first_and_clipping_is_not_spoken_of(pair: Path) -> None:
    study = replace(load_record(output=pair), registered=_REGISTERED)
    page = _page(study, pair)
    first, *others = page["verdict"]
    assert first.startswith("Registered: KPO-strong against KPO-weak, ")
    for part in (" points [", "after correction, 2 seeds: "):
        assert part in first
    assert "clip" not in " ".join(page["verdict"])
    claim = page["claims"][0]
    assert [claim[name] for name in ("kind", "of", "arm", "reference")] == [
        "interval", "settings", "kpo-strong", "kpo-weak",
    ]  # fmt: skip
    assert claim["low"] < claim["value"] < claim["high"]
    assert page["main_figure"] == "accuracy"
    # The exploratory comparison has made way for the registered one.
    assert not any("could be told from" in sentence or "differed" in sentence for sentence in others)


def test_a_registered_pair_is_judged_once(pair: Path) -> None:
    study = replace(load_record(output=pair), registered=_REGISTERED)
    arms = arm_table(study=study)
    analysis = analyse(study=study, arms=arms, reference="kpo-strong")
    assert accuracy_sentence(arms=arms, comparisons=analysis.comparisons, reference="kpo-strong") == ""
    content = statistics_content(analysis=analysis, arms=arms, shown=arms["arm"].tolist(), trial_minutes=1.0)
    assert [row[-2] for row in content["comparisons"]] == ["registered"]


def test_without_a_registration_accuracy_is_compared_with_the_reference(pair: Path) -> None:
    (sentence,) = _page(load_record(output=pair), pair)["verdict"]
    assert "arm 1 (KPO-strong)" in sentence


def test_an_interval_that_says_little_says_why(pair: Path) -> None:
    page = _page(load_record(output=pair), pair)
    for row in page["summary"]:
        low, high = (float(end) for end in row[2].split("[")[1].split("]")[0].split(", "))
        assert 0 <= low <= high <= 100
        assert row[2].endswith("†") == (high - low > 20)
    assert any(row[2].endswith("†") for row in page["summary"])
    assert "of which 2 seeds tell little" in page["summary_notes"][0]


def test_of_one_benchmark_the_seeds_stand_in_the_appendix(pair: Path) -> None:
    report = write_report(output=pair)
    shorter = _text(report)
    texts = [shorter, _text(typeset(folder=report.parent, full=True))]
    assert ["SD of seeds" in text for text in texts] == [False, True]


def test_of_many_registered_pairs_the_page_says_how_many_are_established(one_seed: Path) -> None:
    names = ["kpo-strong", "low-gain-clipping", "kpo-weak", "broken"]
    pairs = [{"arm": one, "reference": other} for one in names[:2] for other in names if other != one]
    study = replace(load_record(output=one_seed), registered=Registered.model_validate({"comparisons": pairs[:5]}))
    page = _page(study, one_seed)
    assert page["verdict"][0].startswith("Of 5 registered comparisons, ")
    # Arms with thresholds: the study asks about clipping, after what was registered.
    assert "clipped" in page["verdict"][1]
    assert page["main_figure"] == "map"
