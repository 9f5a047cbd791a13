"""Evaluation without the training data plane: prompts go to vLLM, texts and verdicts come back.

verl's own validation sends every sample through TransferQueue and a reward process, as if it were to be trained on,
which takes several times as long as generating it.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EvaluatedSample:
    """One response to one problem.

    Attributes:
        prompt: Decoded prompt.
        response: Decoded response, without special tokens.
        truth: The right answer.
        score: What the reward function gave.
        details: Everything else that the reward function returned.
    """

    prompt: str
    response: str
    truth: Any
    score: float
    details: dict[str, Any]


async def grade(
    compute_score: Callable[..., Any], *, problem: dict[str, Any], response: str
) -> tuple[float, dict[str, Any]]:
    """Call a reward function as verl's naive reward manager does.

    Args:
        compute_score: verl's ``compute_score(data_source, solution_str, ground_truth, extra_info)``; may be a coroutine
            function, and otherwise runs in a thread, for it may block.
        problem: A row of the data set.
        response: The decoded response.

    Returns:
        The score, and all that the function returned.
    """
    call = functools.partial(
        compute_score,
        data_source=problem["data_source"],
        solution_str=response,
        ground_truth=problem["reward_model"]["ground_truth"],
        extra_info=dict(problem.get("extra_info") or {}),
    )
    result = await call() if inspect.iscoroutinefunction(compute_score) else await asyncio.to_thread(call)
    if isinstance(result, dict):
        return float(result["score"]), result
    return float(result), {"acc": result}


def rows_of(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of what verl's data loader yields: one value a name and row."""
    count = len(batch["raw_prompt"])
    return [{name: values[row] for name, values in batch.items()} for row in range(count)]
