"""Notices, from a thread of its own, that a process of a Ray job has died, from the job's first process on.

verl waits for ever for the answer of a process that has died, hence the watch. Whoever is silent may be busy, so what
is looked for is death: Ray's control process lists every actor of the job, also those that are being created, and says
which are dead. None is meant to end before the job does. vLLM's engine is no actor but a child of its server's.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import ray

_WATCH_SECONDS = 1.0
# Classes of verl's and TransferQueue's actors, and what they are.
_NAMES = {
    "vLLMHttpServer": "vLLM's server",
    "WorkerDict": "the policy's worker",
    "TransferQueueController": "TransferQueue's controller",
    "SimpleStorageUnit": "TransferQueue's storage",
    "AgentLoopWorkerTQ": "the agent loop",
    "SeededAgentLoopWorker": "the agent loop",
    "RewardLoopWorker": "the reward loop",
}
_ENDED = "its process was killed, ran out of memory, or ended by an error that stands in the log"
# In the command lines of a vLLM engine and its workers: from the first moment, and once they have names.
_ENGINES = ("multiprocessing.spawn", "VLLM::")


class Watch:
    """Looks after the actors of this process's job, and after the engines of its vLLM servers."""

    def __init__(self) -> None:
        """Watch nothing yet; Ray must be connected."""
        self._job = ray.get_runtime_context().get_job_id()
        self._engines: dict[psutil.Process, psutil.Process] = {}  # engine to server

    def begin(self, *, died: Callable[[str], None]) -> None:
        """Look again and again, until something has died.

        Args:
            died: Called once, from the watch's thread, with a line that names what has died.
        """

        def look() -> None:
            while ray.is_initialized():
                if found := self.death():
                    died(found)
                    return
                time.sleep(_WATCH_SECONDS)

        threading.Thread(target=look, name="watch", daemon=True).start()

    def death(self) -> str:
        """What has died, and what is known of why, in a line; "" as long as all live."""
        # Ray's public list of actors needs its dashboard.
        actors = ray._private.state.actors(job_id=ray.JobID.from_hex(self._job)).values()
        for actor in actors:
            if actor["State"] == "DEAD":
                name = _NAMES.get(_kind(actor), f"verl's {_kind(actor)}")
                return f"{name} has died: {_reason(actor['DeathCause'])}"
        for actor in actors:
            if _kind(actor).startswith("vLLM") and actor["Pid"]:
                self._engines |= dict.fromkeys(_engines(actor["Pid"]), psutil.Process(actor["Pid"]))
        if any(not _alive(engine) and _alive(server) for engine, server in list(self._engines.items())):
            return f"vLLM's engine has died: {_ENDED}"
        return ""


def _kind(actor: dict[str, Any]) -> str:
    """An actor's class; verl makes some inside functions."""
    return str(actor["ActorClassName"]).rpartition(".")[2]


def _reason(cause: Any) -> str:
    """Why Ray says that an actor is dead, in a line."""
    context = getattr(cause, cause.WhichOneof("context") or "", None)
    if error := getattr(context, "formatted_exception_string", "").strip():
        return str(error.splitlines()[-1])
    said = " ".join(getattr(context, "error_message", "").split())
    return _ENDED if "connection error code 2" in said or not said else said[:500]


def _engines(server: int) -> Iterator[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(server).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(part in " ".join(child.cmdline()) for part in _ENGINES):
                    yield child


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
