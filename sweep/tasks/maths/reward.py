"""verl's reward function for mathematics: 1 if the last boxed answer is right, else 0.

verl loads this file by path in its reward workers and calls it from several threads of each; the threads of a process
share a `Grader`. Every response returns the same keys: verl reads them from the first of a batch. None may be called
like a column that verl writes itself (input, output, gts, step, uid, reward).
"""

import os
from functools import cache
from typing import Any

from sweep.tasks.maths.grader import Grader, Matching
from sweep.tasks.maths.grading_process import Outcome


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    matching: Matching = "equivalent",
    **_: object,
) -> dict[str, float | int | bool | str]:
    """Score one response.

    Args:
        data_source: Benchmark name; passed through.
        solution_str: The decoded response.
        ground_truth: The right answer, as LaTeX.
        extra_info: The row's ``extra_info``: ``problem_id``, ``subject`` and ``level`` are passed through, and what the
            agent loop adds to it, ``response_tokens`` and ``truncated``, where it does.
        matching: See `Grader`; ``reward.custom_reward_function.reward_kwargs.matching`` of verl's configuration.

    Returns:
        ``score`` 1.0 or 0.0; ``parsed``, whether there was an answer that could be read; ``answer``, "" if none;
        ``outcome``, one of `Outcome`; ``benchmark``, ``problem_id``, ``subject``, ``level``; ``tokens`` and
        ``truncated`` where the agent loop knows them.
    """
    grading = _grader(matching, os.getpid()).grade(response=solution_str, truth=ground_truth)
    extra = extra_info if isinstance(extra_info, dict) else {}
    result: dict[str, float | int | bool | str] = {
        "score": 1.0 if grading.correct else 0.0,
        "parsed": grading.outcome is not Outcome.UNPARSED,
        "answer": grading.answer,
        "outcome": grading.outcome.value,
        "benchmark": _text(data_source),
        "problem_id": _text(extra.get("problem_id")),
        "subject": _text(extra.get("subject")),
        "level": _text(extra.get("level")),
    }
    if isinstance(extra.get("response_tokens"), int):
        result["tokens"] = int(extra["response_tokens"])
        result["truncated"] = bool(extra.get("truncated", False))
    return result


@cache
def _grader(matching: Matching, process: int) -> Grader:
    # By process: pipes to grading processes cannot be shared with a process that was forked from this one.
    return Grader(matching=matching)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
