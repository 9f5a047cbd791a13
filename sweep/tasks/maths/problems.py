"""From the rows of a data file, whatever its columns are called, to distinct problems."""

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sweep.input.errors import UserError, did_you_mean
from sweep.tasks.maths.boxed import MAX_ANSWER_CHARACTERS

INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."
"""What every prompt ends with, in training and evaluation alike: the grader reads the last box."""

# Names that published copies use, in order of preference, in lower case.
_PROBLEM = ("problem", "question", "prompt")
_ANSWER = ("answer", "final_answer", "expected_answer", "ground_truth", "reward_model")
_IDENTIFIER = ("unique_id", "problem_id", "id", "problem_idx")
_SUBJECT = ("subject", "type")
_LEVEL = ("level",)

# DAPO-Math-17k asks for "Answer: ..." around every problem.
_DAPO_BEFORE = re.compile(
    r"\ASolve the following math problem step by step\. The last line of your response .*?\n\n", re.S
)
_DAPO_AFTER = re.compile(r"\s*Remember to put your answer on its own line after \"Answer:\"\.\s*\Z")
_DEGREES = re.compile(r"\s*\^\s*(\\circ|\{\s*\\circ\s*\})\Z")


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        identifier: As the data set numbers it, or its position; unique in the set.
        text: What is asked, without an instruction on the form of the answer.
        answer: The right answer, LaTeX.
        subject: "" where the data set has none.
        level: Likewise.
    """

    identifier: str
    text: str
    answer: str
    subject: str = ""
    level: str = ""

    @property
    def prompt(self) -> str:
        """What the model is asked."""
        return f"{self.text}\n\n{INSTRUCTION}"


@dataclass(frozen=True)
class Distinct:
    """What was found in a file.

    Attributes:
        problems: Distinct problems, in the order of their first rows.
        rows: Rows read.
        contradictory: Problems left out because two rows give them different answers.
    """

    problems: list[Problem]
    rows: int
    contradictory: int


def distinct_problems(rows: Iterable[dict[str, Any]], *, where: str) -> Distinct:
    """Each problem once. Two rows pose the same one when their texts are equal but for white space.

    Raises:
        UserError: There is no row, a column is missing, or a row holds no problem, no answer, or an answer that no
            response can match.
    """
    found: dict[str, Problem] = {}
    contradictory: set[str] = set()
    columns: dict[str, str | None] = {}
    # DAPO-Math-17k has every row a hundred times; a repeated one is recognised before it is taken apart.
    seen: set[tuple[str, str]] = set()
    number = 0
    for number, row in enumerate(rows, start=1):
        if not columns:
            columns = _columns(list(row), where)
        raw = (_question(row.get(columns["problem"] or "")), str(row.get(columns["answer"] or "")))
        if raw in seen:
            continue
        seen.add(raw)
        problem = _problem(row, columns, f"{where}: row {number}", position=len(found))
        first = found.setdefault(" ".join(problem.text.split()), problem)
        if first.answer != problem.answer:
            contradictory.add(first.identifier)
    if number == 0:
        raise UserError(f"{where}: no rows")
    kept = [problem for problem in found.values() if problem.identifier not in contradictory]
    if len({problem.identifier for problem in kept}) < len(kept):
        kept = [Problem(**{**asdict(problem), "identifier": str(place)}) for place, problem in enumerate(kept)]
    return Distinct(problems=kept, rows=number, contradictory=len(contradictory))


def answers_digest(problems: Iterable[Problem]) -> str:
    """SHA-256 of the sorted answers, one a line: equal for copies that differ in order, wording or identifiers."""
    return hashlib.sha256("\n".join(sorted(problem.answer for problem in problems)).encode()).hexdigest()


def _columns(names: list[str], where: str) -> dict[str, str | None]:
    return {
        "problem": _column(names, _PROBLEM, where, needed=True),
        "answer": _column(names, _ANSWER, where, needed=True),
        "identifier": _column(names, _IDENTIFIER, where),
        "subject": _column(names, _SUBJECT, where),
        "level": _column(names, _LEVEL, where),
    }


def _column(names: list[str], wanted: tuple[str, ...], where: str, *, needed: bool = False) -> str | None:
    lower = {name.lower(): name for name in names}
    for name in wanted:
        if name in lower:
            return lower[name]
    if needed:
        raise UserError(
            f"{where}: no column {wanted[0]!r} (nor {', '.join(wanted[1:])}){did_you_mean(wanted[0], names)}"
        )
    return None


def _problem(row: dict[str, Any], columns: dict[str, str | None], where: str, *, position: int) -> Problem:
    def cell(name: str) -> Any:
        return row.get(columns[name] or "")

    text = _DAPO_AFTER.sub("", _DAPO_BEFORE.sub("", _question(cell("problem")))).strip()
    answer = _plain_answer(cell("answer"))
    if not text or not answer:
        raise UserError(f"{where}: {'column ' + repr(columns['answer' if text else 'problem'])} is empty")
    if why := _never_matched(cell("answer"), answer):
        raise UserError(f"{where}: column {columns['answer']!r} {why}, which no response can match")
    identifier = cell("identifier")
    if identifier is None and isinstance(row.get("extra_info"), dict):
        identifier = row["extra_info"].get("index")
    return Problem(
        identifier=str(position if identifier is None else identifier),
        text=text,
        answer=answer,
        subject=_word(cell("subject")),
        level=_word(cell("level")).removeprefix("Level "),
    )


def _never_matched(value: Any, answer: str) -> str | None:
    """Why no response can ever be right by this answer, or None."""
    if isinstance(value, dict):
        value = value.get("ground_truth")
    if isinstance(value, list | tuple | dict):
        return f"holds a {type(value).__name__}, not one answer"
    if (isinstance(value, float) and not math.isfinite(value)) or answer.lower() == "nan":
        return f"holds {answer}, not an answer"
    if "####" in answer or "\\boxed" in answer:
        mark = "####" if "####" in answer else "\\boxed"
        return f"holds {mark}, so a solution or an answer that was not taken out of it"
    if len(answer) > MAX_ANSWER_CHARACTERS:
        return f"holds {len(answer):,} characters, more than the {MAX_ANSWER_CHARACTERS} of a response's answer"
    return None


def _question(value: Any) -> str:
    """Text, or in verl's form a list of messages, of which the last is the question."""
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        value = value[-1].get("content")
    return value if isinstance(value, str) else ""


def _plain_answer(value: Any) -> str:
    """An answer without what copies differ in: leading zeros, dollars around it, degrees after it, verl's wrapping."""
    if isinstance(value, dict):
        value = value.get("ground_truth")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = _word(value)
    if len(text) > 2 and text[0] == text[-1] == "$" and "$" not in text[1:-1]:
        text = text[1:-1].strip()
    number = _DEGREES.sub("", text)
    return str(int(number)) if number.isascii() and number.isdigit() else text


def _word(value: Any) -> str:
    return "" if value is None else str(value).strip()
