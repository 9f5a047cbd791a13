"""verl 0.9.1: sending weights to vLLM ends when vLLM has failed, and memory of the host will do.

verl's sender puts weights into a buffer and waits, without a limit, until vLLM says that it has read them. Where vLLM
has failed meanwhile (its GPU is full, the driver refuses CUDA IPC), nobody says so: the call that carries vLLM's error
is looked at after the sending. Here the sender looks at it while it waits.

The buffer is memory of the GPU, which CUDA IPC shows to both processes. Not every container or sandbox allows that;
with ``ISKPO_CUDA_IPC=0`` among a profile's variables it is shared memory of the host, as on a CPU, which costs a small
model nothing.

It goes away when ``BucketedWeightSender`` in ``verl/workers/rollout/vllm_rollout`` waits with a limit and a setting of
verl's chooses shared memory.
"""

import os
from types import ModuleType
from typing import Any

import zmq

VARIABLE = "ISKPO_CUDA_IPC"
_UPDATE = "update_weights_from_ipc"
_MILLISECONDS = 1000


class _AnsweredSocket:
    """A ZeroMQ socket that gives up when the call that ought to read and answer has ended."""

    def __init__(self, socket: Any, answering: Any) -> None:
        self._socket, self._answering = socket, answering

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def send_pyobj(self, value: Any) -> None:
        """Send as ZeroMQ does, which waits for somebody to read; raises like `recv`."""
        self._wait(zmq.POLLOUT)
        self._socket.send_pyobj(value)

    def recv(self) -> bytes:
        """Receive as ZeroMQ does.

        Raises:
            RayError: What vLLM raised.
            RuntimeError: vLLM ended its part without an answer and without an error.
        """
        self._wait(zmq.POLLIN)
        answer: bytes = self._socket.recv()
        return answer

    def _wait(self, what: int) -> None:
        import ray

        while not self._socket.poll(_MILLISECONDS, what):
            ended, _ = ray.wait([self._answering], timeout=0)
            # The last answer may have come between the two questions.
            if ended and not self._socket.poll(0, what):
                ray.get(self._answering)
                raise RuntimeError("vLLM ended its update of weights before it had taken them all")


def look_while_waiting(module: ModuleType) -> None:
    """Change the sending end in ``verl.workers.rollout.vllm_rollout.vllm_rollout``."""
    adapter: Any = module.ServerAdapter
    execute = adapter._execute_method
    # A process has one adapter and one update at a time. None on ranks that call no server.
    answering: Any = None

    async def execute_and_remember(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal answering
        result = await execute(self, method, *args, **kwargs)
        if method == _UPDATE:
            answering = result
        return result

    class Sender(module.BucketedWeightSender):  # type: ignore[misc, name-defined]
        """verl's sender, on such a socket."""

        socket: Any

        def _init_socket(self) -> None:
            super()._init_socket()
            if answering is not None:
                self.socket = _AnsweredSocket(self.socket, answering)

    adapter._execute_method = execute_and_remember
    module.BucketedWeightSender = Sender  # type: ignore[attr-defined]


def through_shared_memory(module: ModuleType) -> None:
    """Change ``verl.plugin.platform.platform_cuda`` where the environment asks for it."""
    if os.environ.get(VARIABLE) == "0":
        module.PlatformCUDA.is_ipc_supported = lambda self: False
