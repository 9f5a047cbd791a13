"""verl's reward function for arithmetic in words: 1 if the last number of the response is the right one, else 0.

verl loads this file by path in its reward workers, so it imports nothing of this project and nothing heavy.

Every response returns the same keys: verl reads them from the first of a batch. None may be called like a column that
verl writes itself (input, output, gts, step, uid, reward).
"""

import re
from decimal import Decimal

_TAIL = 4096
"""Characters of the response's end that are read."""

_NUMBER = re.compile(r"(?:(?<![\w.])-)?(?<![0-9])(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]{1,32})(?:\.[0-9]{1,32})?")
"""Digits, with commas between thousands, decimals, and a minus that stands for no subtraction."""


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, object] | None = None,
    **_: object,
) -> dict[str, float | int | bool | str]:
    """Score one response.

    Args:
        data_source: Benchmark name; passed through.
        solution_str: The decoded response, without special tokens.
        ground_truth: The right answer in decimal.
        extra_info: The row's ``extra_info``, whose ``problem_id`` is passed through, with the response's length where
            the agent loop has put it there (``response_tokens``, ``truncated``).

    Returns:
        ``score`` 1.0 or 0.0; ``parsed``, whether there was a number; ``answer``, "" if none; ``benchmark``;
        ``problem_id``; ``tokens`` and ``truncated`` where the agent loop knows them.
    """
    answer = last_number(solution_str if isinstance(solution_str, str) else "")
    known = extra_info if isinstance(extra_info, dict) else {}
    problem_id, tokens = known.get("problem_id", ""), known.get("response_tokens")
    result: dict[str, float | int | bool | str] = {
        "score": float(bool(answer) and Decimal(answer) == Decimal(ground_truth)),
        "parsed": bool(answer),
        "answer": answer,
        "benchmark": data_source if isinstance(data_source, str) else "",
        "problem_id": problem_id if isinstance(problem_id, str) else "",
    }
    if isinstance(tokens, int):
        result["tokens"] = tokens
        result["truncated"] = bool(known.get("truncated", False))
    return result


def last_number(text: str) -> str:
    """The last number of a text, without commas; "" if there is none.

    >>> last_number("Seven times eight is 56."), last_number("1,204 - 4 = 1,200"), last_number("fifty-six")
    ('56', '1200', '')
    """
    found = _NUMBER.findall(text[-_TAIL:])
    return found[-1].replace(",", "") if found else ""
