"""verl 0.9.1: sending weights to vLLM ends when vLLM has failed, memory of the host will do, and studies do not meet.

verl's sender puts weights into a buffer and waits, without a limit, until vLLM says that it has read them. Where vLLM
has failed meanwhile (its GPU is full, the driver refuses CUDA IPC), nobody says so: the call that carries vLLM's error
is looked at after the sending. Here the sender looks at it while it waits.

The buffer is memory of the GPU, which CUDA IPC shows to both processes. Not every container or sandbox allows that;
with ``ISKPO_CUDA_IPC=0`` among a profile's variables it is shared memory of the host, as on a CPU, which costs a small
model nothing.

The two meet at a socket in /tmp that is named after the Ray job, and every Ray counts its jobs from one: the weights of
two studies on one machine would meet there. Here it is in the temp folder, which each study's Ray has to itself, and
has the slot in its name, which is also unique in a cluster that several studies share.

It goes away when ``BucketedWeightSender`` in ``verl/workers/rollout/vllm_rollout`` waits with a limit, a setting of
verl's chooses shared memory, and the socket's name is unique on a machine.
"""

import os
import tempfile
from types import ModuleType
from typing import Any

import zmq

from iskpo.verl.patches.transfer_queue_namespace import VARIABLE as NAMESPACE

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
    begin, execute = adapter.__init__, adapter._execute_method
    # A process has one adapter and one update at a time. None on ranks that call no server.
    answering: Any = None

    def begin_at_own_socket(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.zmq_handle = own_socket(self.zmq_handle)

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

    adapter.__init__, adapter._execute_method = begin_at_own_socket, execute_and_remember
    module.BucketedWeightSender = Sender  # type: ignore[attr-defined]


def own_socket(address: str) -> str:
    """The address at which a slot's policy and vLLM meet, given verl's."""
    # A socket's path has 107 characters at most: the end of the slot's name is enough.
    slot = os.environ.get(NAMESPACE, "")[-8:]
    return address.replace("ipc:///tmp/rl-colocate-zmq-", f"ipc://{tempfile.gettempdir()}/weights-{slot}-")


def receive_at_own_socket(module: ModuleType) -> None:
    """Change the receiving end in ``verl.workers.rollout.vllm_rollout.utils``."""
    worker: Any = module.vLLMColocateWorkerExtension
    address = worker._get_zmq_handle
    worker._get_zmq_handle = lambda self: own_socket(address(self))


def through_shared_memory(module: ModuleType) -> None:
    """Change ``verl.plugin.platform.platform_cuda`` where the environment asks for it."""
    if os.environ.get(VARIABLE) == "0":
        module.PlatformCUDA.is_ipc_supported = lambda self: False
