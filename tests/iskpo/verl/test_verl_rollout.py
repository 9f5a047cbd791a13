"""Grading as verl's naive reward manager does it, and the rows of a batch."""

import asyncio
import math
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from iskpo.verl.agent_loops import rows_of
from iskpo.verl.composition import compose
from iskpo.verl.grading import grade, overlong_penalty
from iskpo.verl.names import UNSHAPED_REWARD
from iskpo.verl.rollout import SeededAgentLoopWorker

PROBLEM = {
    "data_source": "arithmetic",
    "reward_model": {"ground_truth": "12"},
    "extra_info": {"problem_id": "p1"},
}


def _grade(compute_score: Any) -> tuple[float, dict[str, Any]]:
    return asyncio.run(grade(compute_score, problem=PROBLEM, response="5+7 #### 12", sample=2))


def test_a_function_that_may_block_runs_in_a_thread() -> None:
    seen: dict[str, Any] = {}

    def compute_score(**arguments: Any) -> dict[str, Any]:
        seen.update(arguments, thread=threading.current_thread())
        return {"score": 1.0, "parsed": True}

    assert _grade(compute_score) == (1.0, {"score": 1.0, "parsed": True})
    assert seen.pop("thread") is not threading.main_thread()
    assert seen == {
        "data_source": "arithmetic",
        "solution_str": "5+7 #### 12",
        "ground_truth": "12",
        "extra_info": {"problem_id": "p1"},
    }


def test_a_coroutine_function_is_awaited() -> None:
    async def compute_score(**_: Any) -> float:
        return 0.5

    assert _grade(compute_score) == (0.5, {"acc": 0.5})


def test_a_function_cannot_change_the_problem() -> None:
    def compute_score(*, extra_info: dict[str, Any], **_: Any) -> float:
        extra_info["problem_id"] = "changed"
        return 0.0

    _grade(compute_score)
    assert PROBLEM["extra_info"] == {"problem_id": "p1"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
@pytest.mark.parametrize("in_a_dictionary", [True, False])
def test_a_score_that_is_not_finite_names_prompt_and_sample(value: float, in_a_dictionary: bool) -> None:
    with pytest.raises(ValueError, match=r"gives -?(nan|inf) to sample 2 of prompt 'p1' of arithmetic"):
        _grade(lambda **_: {"score": value} if in_a_dictionary else value)


@pytest.mark.parametrize(
    ("overrides", "processes"),
    [({}, 0), ({"reward.reward_manager.name": "dapo"}, 8), ({"reward.reward_model.enable": True}, 8)],
)
def test_reward_processes_are_started_only_where_they_grade(overrides: dict[str, Any], processes: int) -> None:
    assert compose(overrides).reward.num_workers == processes


def _worker(*, manager: str = "naive", reward: Any = None, buffer: int = 0) -> Any:
    worker = object.__new__(SeededAgentLoopWorker.__ray_metadata__.modified_class)
    worker.config = OmegaConf.create(
        {"reward": {"reward_manager": {"name": manager}, "reward_model": {"enable": False}}}
    )
    worker.tokenizer = SimpleNamespace(decode=lambda ids, **_: " ".join(map(str, ids)))
    worker.reward_loop_worker_handles = None
    worker._compute_reward = reward
    worker.rollout_config = SimpleNamespace(response_length=80)
    worker._overlong_buffer, worker._shaped_by = buffer, set()
    return worker


def _output(**given: Any) -> Any:
    return SimpleNamespace(**{"reward_score": None, "extra_fields": {"truncated": False}, "num_turns": 2, **given})


def test_so_does_a_score_of_training() -> None:
    row = {**PROBLEM, "session_id": 3}
    with pytest.raises(ValueError, match="gives nan to sample 3 of prompt 'p1'"):
        asyncio.run(_worker(manager="dapo")._compute_score([_output(reward_score=math.nan)], row))
    with pytest.raises(ValueError, match="gives nan to sample 3 of prompt 'p1'"):
        asyncio.run(_worker(reward=lambda **_: math.nan)._compute_score([_output(response_ids=[4])], row))


def test_training_is_graded_with_what_verls_naive_manager_gives() -> None:
    seen: dict[str, Any] = {}

    def compute_score(**arguments: Any) -> dict[str, Any]:
        seen.update(arguments)
        return {"score": 1.0, "parsed": True}

    output = _output(response_ids=[4, 2])
    asyncio.run(_worker(reward=compute_score)._compute_score([output], {**PROBLEM, "session_id": 0}))
    assert output.reward_score == 1.0
    assert output.extra_fields["reward_extra_info"] == {"score": 1.0, "parsed": True}
    assert (seen["solution_str"], seen["ground_truth"]) == ("4 2", "12")
    assert seen["extra_info"] == {
        "problem_id": "p1",
        "truncated": False,
        "num_turns": 2,
        "rollout_reward_scores": {},
    }


def test_another_manager_is_left_to_verl() -> None:
    output = _output(response_ids=[4])
    worker = _worker(manager="dapo", buffer=20)
    asyncio.run(worker._compute_score([output], {**PROBLEM, "session_id": 0}))
    assert output.reward_score is None
    assert worker._shaped_by == {0}


@pytest.mark.parametrize(("tokens", "penalty"), [(1, 0.0), (60, 0.0), (61, -0.05), (70, -0.5), (80, -1.0), (99, -1.0)])
def test_dapos_overlong_punishment(tokens: int, penalty: float) -> None:
    """Equation 13 of the paper with L = 80 and b = 20: its three cases."""
    assert overlong_penalty(tokens=tokens, longest=80, buffer=20) == pytest.approx(penalty)


def test_a_buffer_longer_than_any_response_is_refused() -> None:
    with pytest.raises(ValueError, match="from 1 to the longest response, 80 tokens, got 81"):
        overlong_penalty(tokens=1, longest=80, buffer=81)


@pytest.mark.parametrize(("buffer", "reward"), [(0, 1.0), (20, 0.5)])
def test_a_training_reward_is_shaped_where_it_is_given_and_the_first_one_kept(buffer: int, reward: float) -> None:
    worker = _worker(reward=lambda **_: 1.0, buffer=buffer)
    output = _output(response_ids=[0] * 70)
    asyncio.run(worker._compute_score([output], {**PROBLEM, "session_id": 0}))
    assert output.reward_score == pytest.approx(reward)
    assert worker._shaped_by == {buffer}
    known = {"acc": 1.0, UNSHAPED_REWARD: 1.0} if buffer else {"acc": 1.0}
    assert output.extra_fields["reward_extra_info"] == known


def test_rows_of_a_batch() -> None:
    prompts = np.empty(2, dtype=object)
    prompts[:] = [[{"role": "user", "content": "1+1"}], [{"role": "user", "content": "2+2"}]]
    rows = rows_of({"raw_prompt": prompts, "index": torch.tensor([7, 9])})
    assert [row["raw_prompt"][0]["content"] for row in rows] == ["1+1", "2+2"]
    assert [int(row["index"]) for row in rows] == [7, 9]


def test_an_error_in_the_function_is_not_swallowed() -> None:
    def compute_score(**_: Any) -> float:
        raise ZeroDivisionError("in the reward function")

    with pytest.raises(ZeroDivisionError):
        _grade(compute_score)
