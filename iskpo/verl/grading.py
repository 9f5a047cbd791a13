"""Grading as verl's naive reward manager does it, in the process that has the answer, and DAPO's shaping of rewards."""

import asyncio
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any


async def grade(
    compute_score: Callable[..., Any], *, problem: dict[str, Any], response: str, sample: int
) -> tuple[float, dict[str, Any]]:
    """Call a reward function as verl's naive reward manager does.

    Args:
        compute_score: verl's ``compute_score(data_source, solution_str, ground_truth, extra_info)``; may be a coroutine
            function, and otherwise runs in a thread, for it may block.
        problem: A row of the data set.
        response: The decoded response.
        sample: The response's number among those to the problem.

    Returns:
        The score, and all that the function returned.

    Raises:
        ValueError: The score is NaN or infinite.
    """
    call = functools.partial(
        compute_score,
        data_source=problem["data_source"],
        solution_str=response,
        ground_truth=problem["reward_model"]["ground_truth"],
        extra_info=dict(problem.get("extra_info") or {}),
    )
    result = await call() if inspect.iscoroutinefunction(compute_score) else await asyncio.to_thread(call)
    score, details = (result["score"], result) if isinstance(result, dict) else (result, {"acc": result})
    require_finite(float(score), problem=problem, sample=sample)
    return float(score), details


def require_finite(score: float, *, problem: dict[str, Any], sample: int) -> None:
    """Refuse a score that would make every advantage of its problem NaN.

    Raises:
        ValueError: The score is NaN or infinite; the message names data set, problem and sample.
    """
    if not math.isfinite(score):
        known = problem.get("extra_info") or {}
        name = known.get("problem_id", problem.get("index"))
        raise ValueError(
            f"the reward function gives {score} to sample {sample} of prompt {name!r} of {problem['data_source']}; "
            "a score must be finite"
        )


def overlong_penalty(*, tokens: int, longest: int, buffer: int) -> float:
    r"""DAPO's soft overlong punishment (Yu et al. 2025, arXiv 2503.14476, eq. 13), -1 to 0.

    .. math:: \max(-1, \min(0, (L - b - n)/b))

    of a response of n tokens where the longest has L: nothing up to L - b, and 1 off for the longest.

    Args:
        tokens: n.
        longest: L.
        buffer: b, 1 to L.

    Raises:
        ValueError: A buffer that no response is long enough for.

    Example:
        >>> [overlong_penalty(tokens=n, longest=100, buffer=20) for n in (80, 85, 100)]
        [0.0, -0.25, -1.0]
    """
    if not 0 < buffer <= longest:
        raise ValueError(f"overlong_buffer must be from 1 to the longest response, {longest} tokens, got {buffer}")
    return max(-1.0, min(0.0, (longest - buffer - tokens) / buffer))
