"""Requests that go to vLLM together, and prompts that are handed over together."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from iskpo.verl import rollout
from iskpo.verl.single_turn import GatheredRequests, SharedPromptLoop


class Server:
    """Answers a request by its number."""

    def __init__(self, *, fails: bool = False) -> None:
        self.messages: list[list[int]] = []
        self._fails = fails
        self.generate_many = SimpleNamespace(remote=self._answer)

    async def _answer(self, requests: list[dict[str, int]]) -> list[int]:
        numbers = [request["number"] for request in requests]
        self.messages.append(numbers)
        await asyncio.sleep(0)
        if self._fails:
            raise ConnectionError("the server is gone")
        return numbers


async def _ask(requests: GatheredRequests, numbers: range) -> list[Any]:
    async def one(number: int) -> Any:
        return await requests.generate.remote(number=number)

    return await asyncio.gather(*(one(number) for number in numbers), return_exceptions=True)


@pytest.mark.parametrize("count", [1, 16, 17, 40])
def test_what_one_turn_asks_for_goes_in_few_messages(count: int) -> None:
    server = Server()
    assert asyncio.run(_ask(GatheredRequests(server), range(count))) == list(range(count))
    assert [len(message) for message in server.messages] == [16] * (count // 16) + [count % 16] * (count % 16 > 0)


def test_a_later_turn_does_not_wait_for_an_earlier_one() -> None:
    server = Server()

    async def two_turns() -> None:
        requests = GatheredRequests(server)
        first = asyncio.create_task(_ask(requests, range(2)))
        for _ in range(100):
            if not server.messages:
                await asyncio.sleep(0)
        assert await _ask(requests, range(2, 5)) == [2, 3, 4]
        assert await first == [0, 1]

    asyncio.run(two_turns())
    assert server.messages == [[0, 1], [2, 3, 4]]


def test_everybody_of_a_message_hears_of_its_failure() -> None:
    found = asyncio.run(_ask(GatheredRequests(Server(fails=True)), range(3)))
    assert [str(error) for error in found] == ["the server is gone"] * 3


def _loop(builder: Any) -> SharedPromptLoop:
    loop = object.__new__(SharedPromptLoop)
    loop.processor, loop.continuous_token_builder = None, builder
    loop.rollout_config = SimpleNamespace(prompt_length=3)
    return loop


def test_a_prompt_is_tokenised_once_and_every_sample_has_its_own_list() -> None:
    asked: list[Any] = []

    def build(messages: Any) -> list[int]:
        asked.append(messages)
        return [1, 2, 3, 4]

    loop = _loop(SimpleNamespace(build_initial_tokens=build))
    first = asyncio.run(loop.ct_build_initial_tokens(["a question"]))
    # As verl does: the last tokens of a prompt that is too long.
    assert first == [2, 3, 4]
    first.append(5)
    assert asyncio.run(loop.ct_build_initial_tokens(["a question"])) == [2, 3, 4]
    assert asked == [["a question"]]


def test_prompts_that_are_answered_while_others_are_handed_over_follow_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[list[str], Any]] = []
    answered = {uid: asyncio.Event() for uid in "abcd"}
    answered["a"].set()

    async def put(keys: list[str], partition: str, *, tags: Any, fields: Any = None) -> None:
        assert partition == "train"
        told.append((keys, [tag["status"] for tag in tags]))
        if keys == ["a_0_0", "a_1_0"]:
            answered["b"].set()
            answered["c"].set()
            # Both come to wait for this one.
            for _ in range(100):
                await asyncio.sleep(0)
        elif keys == ["b", "c"]:
            answered["d"].set()

    monkeypatch.setattr(rollout.transfer_queue, "async_kv_batch_put", put)
    monkeypatch.setattr(rollout, "list_of_dict_to_tensordict", list)
    worker = object.__new__(rollout.SeededAgentLoopWorker.__ray_metadata__.modified_class)
    worker.config = SimpleNamespace(
        actor_rollout_ref=SimpleNamespace(rollout=SimpleNamespace(n=2, val_kwargs=SimpleNamespace(n=1)))
    )
    worker._answered = []
    worker._plain_loops = lambda _: iter(range(9))

    async def sample(_loop: Any, _sampling: Any, _trajectory: Any, number: int, prompt: Any) -> list[rollout.Row]:
        await answered[prompt["uid"]].wait()
        return [(f"{prompt['uid']}_{number}_0", {}, {"status": "success"})]

    worker._sample = sample

    async def answer_all() -> None:
        await asyncio.gather(
            *(
                worker._run_prompt({"uid": uid, "agent_name": "single_turn_agent"}, {}, {"validate": False})
                for uid in answered
            )
        )

    asyncio.run(answer_all())
    assert told == [
        (["a_0_0", "a_1_0"], ["success"] * 2),
        (["a"], ["finished"]),
        (["b_0_0", "b_1_0", "c_0_0", "c_1_0"], ["success"] * 4),
        (["b", "c"], ["finished"] * 2),
        (["d_0_0", "d_1_0"], ["success"] * 2),
        (["d"], ["finished"]),
    ]
