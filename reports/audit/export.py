"""An audit for other programs and documents: JSON, CSV, Markdown."""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from reports.audit.reported import Reported
from reports.audit.row import MEANING, Row, Verdict
from reports.audit.terminal import summary

COLUMNS = (
    "kind",
    "claim",
    "source",
    "reported",
    "recomputed",
    "verdict",
    "value",
    "low",
    "high",
    "explanation",
    "formula",
)


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
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


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
    return {
        "kind": row.kind,
        "claim": row.claim,
        "source": row.source,
        "reported": row.reported,
        "recomputed": row.recomputed,
        "verdict": row.verdict.value,
        "value": row.value,
        "low": _finite(low),
        "high": _finite(high),
        "explanation": row.explanation,
        "formula": row.formula,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _cell(text: str) -> str:
    """Text that Markdown takes for text, on one line."""
    for character in "\\`*_|<>[]~#":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
