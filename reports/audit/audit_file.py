"""An audit in a file: PDF (by Typst), CSV, Markdown or JSON, by the file's ending."""

import csv
import io
import json
import math
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.audit.printed import MEANING, Row, Verdict
from reports.audit.reported import Reported
from reports.audit.terminal import summary
from sweep.input.errors import UserError

_TEMPLATE = Path(__file__).with_name("audit.typ")
ENDINGS = (".pdf", ".csv", ".md", ".json")
COLUMNS = (
    "kind", "claim", "source", "reported", "recomputed", "verdict", "value", "low", "high", "explanation", "formula",
)  # fmt: skip


def check_output(*, path: Path, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before anything is computed.

    Args:
        path: The file to be.
        overwrite: Whether it may exist.

    Raises:
        UserError: An unknown ending, a file that exists, or no folder to write to.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"--output {path}: the name must end in one of {', '.join(ENDINGS)}")
    if path.is_dir():
        raise UserError(f"--output {path}: is a folder, not a file")
    if path.exists() and not overwrite:
        raise UserError(f"--output {path}: exists; choose another name, or replace it with --overwrite")
    if not path.parent.is_dir():
        raise UserError(f"--output {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"--output {path}: the folder {path.parent} cannot be written to")


def write_audit(*, reported: Reported, rows: Sequence[Row], path: Path) -> None:
    """Write an audit; a file that is there is replaced, as a whole and at the end.

    Args:
        reported: What was audited.
        rows: What came of it.
        path: A file with one of `ENDINGS`.

    Raises:
        UserError: The file cannot be written.
    """
    ending = path.suffix.lower()
    if ending == ".pdf":
        data = _pdf(reported, rows)
    elif ending == ".csv":
        data = as_csv(rows=rows).encode()
    elif ending == ".md":
        data = as_markdown(reported=reported, rows=rows).encode()
    else:
        data = f"{as_json(reported=reported, rows=rows)}\n".encode()
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"--output {path}: cannot be written: {error.strerror}") from None


def as_json(*, reported: Reported, rows: Sequence[Row]) -> str:
    """The audit as JSON; null stands for what could not be recomputed and for an open end.

    Args:
        reported: What was audited.
        rows: What came of it.
    """
    counts = Counter(row.verdict for row in rows)
    content = {
        "title": reported.title,
        "citation": reported.citation,
        "counts": {verdict.value: counts[verdict] for verdict in Verdict},
        "rows": [_record(row) for row in rows],
    }
    # In ASCII, since it is printed as well, and an encoding that lacks a character would lose it.
    return json.dumps(content, indent=2, allow_nan=False)


def as_csv(*, rows: Sequence[Row]) -> str:
    """One line for each claim, with the columns `COLUMNS`; empty stands for what JSON calls null.

    Args:
        rows: What the audit found.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_record(row) for row in rows)
    return text.getvalue()


def as_markdown(*, reported: Reported, rows: Sequence[Row]) -> str:
    """A table, then the reason of every verdict.

    Args:
        reported: What was audited.
        rows: What came of it.
    """
    lines = [f"# Audit: {_cell(reported.title)}", ""]
    if reported.citation:
        lines += [_cell(reported.citation), ""]
    lines += [f"{summary(rows=rows)}.", ""]
    lines += ["| | claim | source | reported | recomputed | verdict |", "| ---: | --- | --- | --- | --- | --- |"]
    for index, row in enumerate(rows, 1):
        mark = row.verdict.value if row.verdict is Verdict.AGREES else f"**{row.verdict.value}**"
        cells = [str(index), *map(_cell, (row.claim, row.source, row.reported, row.recomputed)), mark]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Why", ""]
    for index, row in enumerate(rows, 1):
        lines.append(f"{index}. **{_cell(row.claim)}: {row.verdict.value}.** {_cell(row.explanation)}")
        lines += [f"   {_cell(row.formula)}", ""]
    lines += ["## Verdicts", ""]
    lines += [f"- {verdict.value}: {meaning}." for verdict, meaning in MEANING.items()]
    return "\n".join(lines) + "\n"


def _record(row: Row) -> dict[str, Any]:
    low, high = row.range or (None, None)
    record = {**vars(row), "verdict": row.verdict.value, "low": _finite(low), "high": _finite(high)}
    return {name: record[name] for name in COLUMNS}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _cell(text: str) -> str:
    """Text that Markdown takes for text, on one line."""
    for character in "\\`*_|<>[]~#":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _pdf(reported: Reported, rows: Sequence[Row]) -> bytes:
    import typst

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "audit.json").write_text(json.dumps(_content(reported, rows), ensure_ascii=False), encoding="utf-8")
        shutil.copyfile(_TEMPLATE, folder / "audit.typ")
        # Typst's own fonts alone: the same pages on every machine.
        pdf = typst.compile(folder / "audit.typ", root=folder, ignore_system_fonts=True, format="pdf")
    assert isinstance(pdf, bytes)
    return pdf


def _content(reported: Reported, rows: Sequence[Row]) -> dict[str, object]:
    """What the layout prints: strings, which Typst never reads as markup."""
    return {
        "title": reported.title,
        "citation": reported.citation or "",
        "summary": f"{summary(rows=rows)}.",
        "meaning": [[verdict.value, meaning] for verdict, meaning in MEANING.items()],
        "rows": [
            {**_record(row), "number": str(index), "agrees": row.verdict is Verdict.AGREES}
            for index, row in enumerate(rows, 1)
        ],
    }
