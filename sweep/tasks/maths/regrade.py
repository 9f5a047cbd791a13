"""Grade what a file holds: pairs of a right answer and an answer, verl's samples, or the samples of a study.

A row that was graded before keeps its verdict beside the new one: nothing is trained, and nothing is overwritten.
"""

import csv
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.input.errors import UserError
from sweep.tasks.maths.data_file import FORMATS, read_rows
from sweep.tasks.maths.grader import Grader, Matching
from sweep.tasks.maths.grading_process import Outcome

TRUTHS = ("truth", "ground_truth", "gts", "gold", "target")
RESPONSES = ("response", "output")
ANSWERS = ("answer", "prediction")
_BEFORE = ("correct", "score")
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Verdict:
    """The verdict on one row.

    Attributes:
        row: Number of the row in its file, from 1.
        verdict: ``right``, ``wrong``, ``unreadable``, ``timed_out`` or ``crashed``.
        rule: Name of the rule that decided, as in ``docs/grading.md``.
        truth: The right answer as it is written.
        answer: The answer as it is written, out of its box; "" where there is none.
        truth_read: What was read as the right answer; "" where it was not read, or did not have to be.
        answer_read: What was read as the answer.
        before: The verdict that the row had, None where it had none.
    """

    row: int
    verdict: str
    rule: str
    truth: str
    answer: str
    truth_read: str
    answer_read: str
    before: bool | None

    @property
    def changed(self) -> bool:
        """Whether the row had another verdict."""
        return self.before is not None and self.before != (self.verdict == "right")


def sample_files(path: Path) -> list[Path]:
    """The file itself, or all samples that a study's folder keeps."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("**/samples/step_*.parquet"))
    if not files:
        raise UserError(f"{path}: no samples of a study in this folder; give a file, or the folder of a study that ran")
    return files


def graded(path: Path, *, matching: Matching) -> Iterator[tuple[dict[str, Any], Verdict]]:
    """The rows of a file with their verdicts.

    Raises:
        UserError: The file is of no known format, or a row has no right answer or nothing to grade.
    """
    with Grader(matching=matching) as grader, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for some in _batches(enumerate(_rows(path), start=1)):
            yield from threads.map(lambda numbered: (numbered[1], _verdict(grader, path, *numbered)), some)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix.lower() != ".csv":
        if path.suffix.lower() not in FORMATS:
            raise UserError(f"{path}: unknown format {path.suffix!r}; valid: .csv, {', '.join(FORMATS)}")
        yield from read_rows(path)
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: no CSV file in UTF-8: {error}") from None


def _batches(rows: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    some = []
    for row in rows:
        some.append(row)
        if len(some) == _ROWS_AT_ONCE:
            yield some
            some = []
    yield some


def _verdict(grader: Grader, path: Path, number: int, row: dict[str, Any]) -> Verdict:
    truth = _first(row, TRUTHS)
    response, answer = _first(row, RESPONSES), _first(row, ANSWERS)
    if truth is None or (response is None and answer is None):
        missing = (
            f"right answer ({', '.join(TRUTHS)})" if truth is None else f"answer ({', '.join(ANSWERS + RESPONSES)})"
        )
        raise UserError(f"{path}: row {number} has no {missing}; its columns: {', '.join(map(str, row)) or 'none'}")
    truth = str(truth)
    if response is not None:
        grading = grader.grade(response=response, truth=truth)
    else:
        grading = grader.compare(answer=str(answer), truth=truth)
    verdict = {Outcome.GRADED: "right" if grading.correct else "wrong", Outcome.UNPARSED: "unreadable"}.get(
        grading.outcome, grading.outcome.value
    )
    return Verdict(
        row=number,
        verdict=verdict,
        rule=grading.rule,
        truth=truth,
        answer=grading.answer,
        truth_read=grading.truth_read,
        answer_read=grading.answer_read,
        before=_before(row),
    )


def _first(row: dict[str, Any], names: tuple[str, ...]) -> object | None:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _before(row: dict[str, Any]) -> bool | None:
    """The verdict that a row comes with: a truth value, or verl's score."""
    value = _first(row, _BEFORE)
    if isinstance(value, str):
        value = {"true": 1.0, "false": 0.0}.get(value.lower(), value)
    try:
        return None if value is None else float(value) >= 1.0  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
