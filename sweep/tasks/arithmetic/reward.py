"""verl's reward function for the arithmetic task: 1 if the number after the last marker is the right one, else 0.

verl loads this file by path in its reward workers, so it imports nothing of this project and nothing heavy.

Every response returns the same keys: verl reads them from the first of a batch. None may be called like a column that
verl writes itself (input, output, gts, step, uid, reward).
"""

import re

_TAIL = 256
"""Characters of the response's end that are read: an answer is at the end, and a response may be of any length."""

_ANSWER = re.compile(r"#### ?([0-9]{1,32})\s*\Z")


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict | None = None,
    max_response_tokens: int = 96,
    **_: object,
) -> dict[str, float | int | bool | str]:
    """Score one response.

    Args:
        data_source: Benchmark name; passed through.
        solution_str: The decoded response, without special tokens.
        ground_truth: The right answer in decimal.
        extra_info: The row's ``extra_info``; its ``problem_id`` is passed through.
        max_response_tokens: ``data.max_response_length``, if another (``reward_kwargs`` of verl's configuration).

    Returns:
        ``score`` 1.0 or 0.0; ``parsed``, whether there was an answer; ``answer``, "" if none; ``tokens``, with the end
        token, exact because a token is a character; ``truncated``; ``benchmark``; ``problem_id``.
    """
    response = solution_str if isinstance(solution_str, str) else ""
    match = _ANSWER.search(response[-_TAIL:])
    answer = match.group(1) if match else ""
    problem_id = extra_info.get("problem_id", "") if isinstance(extra_info, dict) else ""
    truncated = len(response) >= max_response_tokens
    return {
        "score": 1.0 if answer and answer == ground_truth else 0.0,
        "parsed": bool(answer),
        "answer": answer,
        "tokens": max_response_tokens if truncated else len(response) + 1,
        "truncated": truncated,
        "benchmark": data_source if isinstance(data_source, str) else "",
        "problem_id": problem_id if isinstance(problem_id, str) else "",
    }
