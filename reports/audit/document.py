"""Write an audit to a file: PDF (by Typst), CSV, Markdown or JSON, by the file's ending."""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reports.audit.export import as_csv, as_json, as_markdown
from reports.audit.reported import Reported
from reports.audit.row import MEANING, Row, Verdict
from reports.audit.terminal import summary
from sweep.input.errors import UserError

_TEMPLATE = Path(__file__).with_name("audit.typ")
ENDINGS = (".pdf", ".csv", ".md", ".json")


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
    """What the layout prints: strings only, which Typst never reads as markup."""
    return {
        "title": reported.title,
        "citation": reported.citation or "",
        "summary": f"{summary(rows=rows)}.",
        "meaning": [[verdict.value, meaning] for verdict, meaning in MEANING.items()],
        "rows": [
            {
                "number": str(index),
                "claim": row.claim,
                "source": row.source,
                "reported": row.reported,
                "recomputed": row.recomputed,
                "verdict": row.verdict.value,
                "agrees": row.verdict is Verdict.AGREES,
                "explanation": row.explanation,
                "formula": row.formula,
            }
            for index, row in enumerate(rows, 1)
        ],
    }
