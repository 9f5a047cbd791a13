"""What a small model's samples wait for longer than for vLLM: a message for each, and its prompt's tokens made anew.

Here a prompt's tokens are made once for all its samples, and requests go to vLLM many in one message. Its answers come
when the last of them is complete; so it is for agent loops that ask once.
"""

import asyncio
from types import SimpleNamespace
from typing import Any

from typing_extensions import override
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

# Of one message: a first answer is graded while vLLM still works on others.
_MOST_REQUESTS = 16


class SharedPromptLoop(SingleTurnAgentLoop):
    """verl's agent loop of a single turn, for all samples of one prompt."""

    _prompt: list[int] | None = None

    @override
    async def ct_build_initial_tokens(
        self, messages: list[dict[str, Any]], *arguments: Any, **inputs: Any
    ) -> list[int]:
        """The prompt's tokens; text is short enough to need no thread of its own."""
        if self.processor is not None:
            made: list[int] = await super().ct_build_initial_tokens(messages, *arguments, **inputs)
            return made
        if self._prompt is None:
            self._prompt = self._cap_text_prompt_length(self.continuous_token_builder.build_initial_tokens(messages))
        return list(self._prompt)


class GatheredRequests:
    """Stands for a server's handle, and sends what one turn of the event loop asks for in few messages.

    Attributes:
        generate: As of the handle; its ``remote`` gives a future.
    """

    def __init__(self, server: Any) -> None:
        """Begin without requests; ``server`` is a handle with a method `generate_many`."""
        self.generate = SimpleNamespace(remote=self._add)
        self._server = server
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[Any]]] = []
        self._sent: set[asyncio.Task[None]] = set()

    def _add(self, **request: Any) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._waiting:
            # After all that is ready by now, and so after the prompt's other samples.
            loop.call_soon(self._send)
        self._waiting.append((request, answer))
        return answer

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _MOST_REQUESTS):
            # The loop itself keeps no task alive.
            task = asyncio.create_task(self._ask(waiting[start : start + _MOST_REQUESTS]))
            self._sent.add(task)
            task.add_done_callback(self._sent.discard)

    async def _ask(self, asked: list[tuple[dict[str, Any], "asyncio.Future[Any]"]]) -> None:
        try:
            outputs = await self._server.generate_many.remote([request for request, _ in asked])
            answered = list(zip(asked, outputs, strict=True))
        except Exception as error:
            for _, answer in asked:
                answer.set_exception(error)
            return
        for (_, answer), output in answered:
            answer.set_result(output)
