"""Rows of a data file: JSON lines, JSON or parquet, as they come, with errors that name file and line."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sweep.input.errors import UserError

FORMATS = (".jsonl", ".json", ".parquet")
Progress = Callable[[int, int], None]
"""Called as ``progress(done, total)`` while a file is read; in bytes, or for parquet in rows."""

_ROWS_AT_ONCE = 8192
_COLUMNS_NOT_READ = {"solution", "ability", "url", "year"}


def read_rows(path: Path, *, progress: Progress | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a file, one dictionary each.

    Raises:
        UserError: The file is missing, of no known format, damaged, or holds something else than rows.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    readers = {".jsonl": _json_lines, ".json": _json, ".parquet": _parquet}
    if (reader := readers.get(path.suffix.lower())) is None:
        raise UserError(f"{path}: unknown format {path.suffix!r}; valid: {', '.join(FORMATS)}")
    yield from reader(path, progress or (lambda done, total: None))


def file_sha256(path: Path) -> str:
    """Checksum of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json_lines(path: Path, progress: Progress) -> Iterator[dict[str, Any]]:
    total, done = path.stat().st_size, 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            done += len(line)
            if line.strip():
                yield _row(_parsed(line, f"{path}:{number}"), f"{path}:{number}")
            progress(done, total)


def _json(path: Path, progress: Progress) -> Iterator[dict[str, Any]]:
    content = _parsed(path.read_bytes(), str(path))
    if not isinstance(content, list):
        raise UserError(f"{path}: expected a list of rows, found {type(content).__name__}")
    for number, row in enumerate(content, start=1):
        yield _row(row, f"{path}: row {number}")
        progress(number, len(content))


def _parquet(path: Path, progress: Progress) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = [name for name in file.schema_arrow.names if name not in _COLUMNS_NOT_READ]
        done = 0
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns):
            yield from batch.to_pylist()
            done += batch.num_rows
            progress(done, file.metadata.num_rows)
    except pa.ArrowException as error:
        raise UserError(f"{path}: damaged, or no parquet file: {str(error).splitlines()[0]}") from None


def _parsed(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:  # of JSON, and of UTF-8
        raise UserError(f"{where}: no JSON: {error}") from None


def _row(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object of column names and values, found {type(value).__name__}")
    return value
