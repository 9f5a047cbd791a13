"""The document, from a real store to the text on its pages."""

import doctest
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typst
from mlflow.tracking import MlflowClient
from pypdf import PdfReader

import reports.data.numbers
import reports.figures.style
import reports.statistics.curves
import reports.text.statistics_text
from reports import write_report
from reports.data.load import load_record
from reports.document import typeset
from sweep.store.study_folder import tracking_uri
from tests.reports.conftest import ARMS


@pytest.fixture(scope="module")
def report(one_seed: Path) -> Path:
    return write_report(output=one_seed)


def _text(report: Path) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(report).pages).split())


def test_the_document_holds_every_arm_and_is_attached(one_seed: Path, report: Path) -> None:
    assert report == one_seed / "report" / "report.pdf"
    text = _text(report)
    pages = [" ".join(page.extract_text().split()) for page in PdfReader(report).pages]
    assert 3 <= len(pages) <= 6
    # A reader who stops after the first page has question, answer, limits, the arms and the picture.
    for expected in (
        "Can innovations be clipped",
        "no effect is established",
        "One training seed",
        "Table 1.",
        "Figure 1.",
    ):
        assert expected in pages[0]
    for expected in (
        "made_up",
        "Can innovations be clipped at a low Kalman gain?",
        "Most was clipped in arm 2 (low-gain-clipping)",
        "not claims about",
        "cannot speak about training seeds",
        "KPO-strong",
        "low-gain-clipping",
        "Holm",
        "40 problems",
        "verl 0.9.1",
        # Whatever a trial or an error is called, it is text and no markup.
        "the loss said q <&> #strong[1] $x$",
        "not started",
    ):
        assert expected in text
    study = load_record(output=one_seed)
    attached = MlflowClient(tracking_uri=tracking_uri(one_seed)).list_artifacts(study.run_id, "report")
    assert {"report/report.pdf", "report/map.svg"} <= {entry.path for entry in attached}
    assert sorted(path.name for path in report.parent.glob("*.pdf")) == ["report.pdf"]


def test_fonts_are_embedded(report: Path) -> None:
    fonts = [
        descriptor
        for page in PdfReader(report).pages
        for font in page["/Resources"]["/Font"].values()
        for descendant in font.get_object().get("/DescendantFonts", [])
        for descriptor in [descendant.get_object()["/FontDescriptor"].get_object()]
    ]
    assert fonts
    assert all({"/FontFile2", "/FontFile3"} & set(font) for font in fonts)


def test_the_tables_say_what_was_recorded(report: Path) -> None:
    content = json.loads((report.parent / "report.json").read_text(encoding="utf-8"))
    strong, clipping, _, broken, later = content["arms"]
    # No threshold, so nothing to be clipped; a failed arm has settings and no results.
    assert strong[8:10] == ["–", "–"]
    assert clipping[2:9] == ["10⁻⁶", "0.01", "1", "0.995", clipping[6], "n/a", "0.101"]
    assert float(clipping[9]) > 1
    assert broken[6] == broken[9] == broken[10] == "n/a"
    assert (broken[1], later[1]) == ("broken (failed)", "later (not started)")
    # The first page's table says the same.
    assert [row[:2] for row in content["summary"]] == [row[:2] for row in content["arms"]]
    assert content["summary"][1][2] == clipping[10]
    assert content["summary"][1][3:] == [clipping[5], clipping[6], clipping[7], clipping[9]]
    assert content["failures"] == [["broken_s0", "failed", "the loss said q <&> #strong[1] $x$"]]
    assert content["reference"] == "KPO-strong"
    assert len(content["comparisons"]) == 2


def test_seeds_and_benchmarks_are_shown(two_seeds: Path) -> None:
    text = _text(write_report(output=two_seeds))
    assert "2 training seeds" in text
    assert "SD of seeds" in text
    assert "easy" in text
    assert "hard" in text
    assert "1 failed" in text


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"failed": {"kpo-strong_s0": "verl did not start"}}, ("verl did not start", "No trial of this study")),
        ({"without": ("samples", "kalman/", "innovation/", "critic/")}, ("nothing can be said about accuracy", "n/a")),
        ({}, ("nothing to compare it with", "no second evaluated arm")),
    ],
    ids=["nothing finished", "nothing recorded", "one arm"],
)
def test_little_data_make_a_limited_report(
    record: Callable[..., Path], settings: dict[str, object], expected: tuple[str, ...]
) -> None:
    arm = {**ARMS["arms"][0], "name": "kpo-strong"}
    output = record(space={"kind": "arms", "arms": [arm]}, problems=3, steps=1, **settings)
    text = _text(write_report(output=output)).replace("’", "'")
    for part in expected:
        assert part in text


def test_a_failure_leaves_the_previous_report(report: Path, tmp_path: Path) -> None:
    shutil.copyfile(report, tmp_path / "report.pdf")
    (tmp_path / "report.typ").write_text('#image("absent.svg")')
    with pytest.raises(typst.TypstError, match=r"absent\.svg"):
        typeset(folder=tmp_path)
    assert (tmp_path / "report.pdf").read_bytes() == report.read_bytes()
    (tmp_path / "report.typ").write_text("Hello")
    assert _text(typeset(folder=tmp_path)) == "Hello"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.pdf", "report.typ"]


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, reports; print([m for m in ('mlflow', 'matplotlib', 'pandas', 'typst') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "module", [reports.data.numbers, reports.figures.style, reports.statistics.curves, reports.text.statistics_text]
)
def test_examples_in_docstrings(module) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_arms_of_the_published_numerics_are_marked_wherever_they_stand(record: Callable[..., Path]) -> None:
    arms = [
        {"name": "exact", "q": 1e-2, "v": 1},
        {"name": "public", "q": 1e-2, "v": 1, "numerics": "public-cumsum-fp32"},
    ]
    report = write_report(output=record(space={"kind": "arms", "arms": arms}))
    content = json.loads((report.parent / "report.json").read_text(encoding="utf-8"))
    names = {row[1] for table in ("arms", "innovations") for row in content[table]}
    assert names == {"KPO-weak", "public (public float32)"}
    assert content["public_numerics"][0][:2] == ["2", "public (public float32)"]
    assert content["public_numerics"][0][4] == "871"
    assert "numerics public-cumsum-fp32" in content["arm_notes"][0][1]
    text = _text(report)
    for expected in ("Published numerics.", "NaN or infinite on 300 tokens", "public-cumsum-fp32"):
        assert expected in text
