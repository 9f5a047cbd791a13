"""An audit in the terminal and in files: complete, legible at any width, and the same numbers everywhere."""

import csv
import io
import json
from pathlib import Path

import pytest
from pypdf import PdfReader
from rich.console import Console

from reports.audit import Verdict
from reports.audit.audit_file import as_csv, as_json, as_markdown, check_output, write_audit
from reports.audit.terminal import show_audit, summary
from sweep.input.errors import UserError


def _shown(reported, rows, width, everything=False):
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    show_audit(reported=reported, rows=rows, everything=everything, console=console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_fits_the_terminal_and_breaks_no_number(paper, paper_rows, width):
    text = _shown(paper, paper_rows, width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    table = text.split("───\n")[-1].split("─ \n")[-1].split("1. z of IS-KPO-weak")[0]
    for row in paper_rows:
        if row.kind != "incompatible":
            line = next(line for line in table.splitlines() if line.split()[:1] == [str(paper_rows.index(row) + 1)])
            assert row.reported in line
            assert row.recomputed in line
    # Reasons of what does not agree, and of everything when asked for.
    assert "10. Kalman gain of IS-KPO-weak: differs" in text
    assert "6. KPO-strong minus KPO-weak" not in text
    assert "--all explains" in text
    everything = _shown(paper, paper_rows, width, everything=True)
    assert "6. KPO-strong minus KPO-weak on MATH-500: agrees" in everything
    assert "--all" not in everything
    assert ("Table 1, row KPO-strong" in table) is (width == 140)


def test_the_summary_counts(paper_rows):
    counts = {verdict: sum(row.verdict is verdict for row in paper_rows) for verdict in Verdict}
    assert sum(counts.values()) == len(paper_rows)
    assert summary(rows=paper_rows) == (
        f"{len(paper_rows)} claims: {counts[Verdict.AGREES]} agree, {counts[Verdict.DIFFERS]} differ, "
        f"{counts[Verdict.IMPOSSIBLE]} cannot be right and {counts[Verdict.UNKNOWN]} cannot be recomputed"
    )
    assert summary(rows=paper_rows[:1]) == "1 claim: 1 differs"


def test_json_and_csv_hold_the_same_rows(paper, paper_rows):
    content = json.loads(as_json(reported=paper, rows=paper_rows))
    lines = list(csv.DictReader(io.StringIO(as_csv(rows=paper_rows))))
    assert len(content["rows"]) == len(lines) == len(paper_rows) == sum(content["counts"].values())
    for record, line, row in zip(content["rows"], lines, paper_rows, strict=True):
        assert record["claim"] == line["claim"] == row.claim
        assert record["verdict"] == line["verdict"] == row.verdict.value
        assert record["value"] == row.value
        assert line["value"] == ("" if row.value is None else repr(row.value))
        if record["value"] is not None and record["high"] is not None:
            assert record["low"] <= record["value"] <= record["high"]


def test_markdown_has_a_line_for_each_row_and_escapes(paper, paper_rows):
    text = as_markdown(reported=paper, rows=paper_rows)
    table = [line for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert len(table) == len(paper_rows)
    assert all(line.replace("\\|", "").count("|") == 7 for line in table)
    assert all(row.verdict.value in line for row, line in zip(paper_rows, table, strict=True))


def test_the_pdf_holds_every_claim_and_reason(paper, paper_rows, tmp_path):
    path = tmp_path / "audit.pdf"
    write_audit(reported=paper, rows=paper_rows, path=path)
    text = "".join("".join(page.extract_text().split()) for page in PdfReader(path).pages).replace("-", "")
    for index, row in enumerate(paper_rows, 1):
        assert f"{index}.{row.claim}:{row.verdict.value}".replace(" ", "").replace("-", "") in text
    # Reasons and formulas too; the spaces that a line break takes differ.
    assert "Itwouldbethegainoftoken2(1.95%)" in text
    assert "".join(summary(rows=paper_rows).split()) in text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".csv", ".md", ".json"])
def test_files_are_what_the_exports_say(paper, paper_rows, tmp_path, ending):
    path = tmp_path / f"audit{ending}"
    path.write_text("old")
    write_audit(reported=paper, rows=paper_rows, path=path)
    expected = {
        ".csv": as_csv(rows=paper_rows),
        ".md": as_markdown(reported=paper, rows=paper_rows),
        ".json": as_json(reported=paper, rows=paper_rows) + "\n",
    }
    assert path.read_bytes().decode() == expected[ending]


def test_outputs_that_cannot_be(tmp_path):
    existing = tmp_path / "there.csv"
    existing.write_text("mine")
    for path, words in (
        (Path("audit.docx"), "must end in one of .pdf, .csv, .md, .json"),
        (tmp_path / "no" / "audit.pdf", "there is no folder"),
        (existing, "exists; choose another name"),
    ):
        with pytest.raises(UserError, match=words):
            check_output(path=path, overwrite=False)
    check_output(path=existing, overwrite=True)
    folder = tmp_path / "folder.pdf"
    folder.mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_output(path=folder, overwrite=True)
