"""verl's reward function for the arithmetic task: 1 if the number after the last marker is the right one, else 0.

A series has an answer for each of its problems: 1 if there are as many and at least half of them are right, else 0.

verl loads this file by path in its reward workers, so it imports nothing of this project and nothing heavy.

Every response returns the same keys: verl reads them from the first of a batch. None may be called like a column that
verl writes itself (input, output, gts, step, uid, reward).
"""

import re

_TAIL = 256
"""Characters of the response's end that are read: an answer is at the end, and a response may be of any length."""

_ANSWER = re.compile(r"#### ?([0-9]{1,32})\s*\Z")
_ANSWERS = re.compile(r"#### ?([0-9]{1,32})(?:\s|\Z)")
_LONGEST = 4096
"""Characters of a series' response that are read; the longest right one is half as long."""


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
        ground_truth: The right answer in decimal; of a series all of them, with a space between.
        extra_info: The row's ``extra_info``, whose ``problem_id`` is passed through, with the response's length where
            the rollout has put it there (``response_tokens``, ``truncated``).
        max_response_tokens: For where it has not: ``data.max_response_length``, if another.

    Returns:
        ``score`` 1.0 or 0.0; ``parsed``, whether there was an answer; ``answer``, "" if none; ``tokens``, with the end
        token, exact because a token is a character; ``truncated``; ``benchmark``; ``problem_id``.
    """
    response = solution_str if isinstance(solution_str, str) else ""
    known = extra_info if isinstance(extra_info, dict) else {}
    if isinstance(ground_truth, str) and " " in ground_truth:
        answers, truths = _ANSWERS.findall(response[:_LONGEST]), ground_truth.split()
        answer = " ".join(answers)
        right = len(answers) == len(truths) and 2 * sum(map(str.__eq__, answers, truths)) >= len(truths)
    else:
        match = _ANSWER.search(response[-_TAIL:])
        answer = match.group(1) if match else ""
        right = bool(answer) and answer == ground_truth
    problem_id = known.get("problem_id", "")
    truncated = len(response) >= max_response_tokens
    tokens = max_response_tokens if truncated else len(response) + 1
    if isinstance(known.get("response_tokens"), int) and isinstance(known.get("truncated"), bool):
        tokens, truncated = int(known["response_tokens"]), known["truncated"]
    return {
        "score": float(right),
        "parsed": bool(answer),
        "answer": answer,
        "tokens": tokens,
        "truncated": truncated,
        "benchmark": data_source if isinstance(data_source, str) else "",
        "problem_id": problem_id if isinstance(problem_id, str) else "",
    }
