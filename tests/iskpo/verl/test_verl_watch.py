"""The watch over a job's processes, on real Ray actors."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
import ray

from iskpo.verl.watch import Watch


@pytest.fixture
def cluster() -> Iterator[None]:
    # Its own, whatever else runs on this machine: other tests start Ray side by side with this one.
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, namespace="here")
    yield
    ray.shutdown()


# Not classes of this module, which an actor's process could not import.
def _worker() -> type:
    class WorkerDict:
        def __init__(self, seconds: float) -> None:
            time.sleep(seconds)

        def busy(self, seconds: float) -> int:
            time.sleep(seconds)
            return os.getpid()

    return WorkerDict


def _pid_of_the_one_being_created() -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for actor in ray._private.state.actors().values():
            if actor["State"] == "PENDING_CREATION" and actor["Pid"]:
                return int(actor["Pid"])
        time.sleep(0.1)
    pytest.fail("Ray lists no actor that is being created")


def test_a_dead_actor_is_noticed_and_a_busy_one_left_alone(cluster: None) -> None:
    worker = ray.remote(_worker()).options(num_cpus=0)
    first, second = worker.remote(0), worker.remote(0)
    pids = ray.get([actor.busy.remote(0) for actor in (first, second)])
    said, noticed = _watched()
    first.busy.remote(60)
    # Longer than it takes to look twice.
    assert not noticed.wait(3)
    os.kill(pids[1], signal.SIGKILL)
    assert noticed.wait(20)
    assert said[0].startswith("the policy's worker has died: its process was killed")


def test_one_that_is_being_created_is_watched(cluster: None) -> None:
    said, noticed = _watched()
    kept = ray.remote(_worker()).options(num_cpus=0).remote(600)
    pid = _pid_of_the_one_being_created()
    assert not noticed.wait(3)
    os.kill(pid, signal.SIGKILL)
    assert noticed.wait(20)
    assert said[0].startswith("the policy's worker has died: ")
    del kept


def test_one_that_cannot_be_created_says_why(cluster: None) -> None:
    class WorkerDict:
        def __init__(self) -> None:
            raise ValueError("no room on the GPU")

    said, noticed = _watched()
    kept = ray.remote(WorkerDict).options(num_cpus=0).remote()
    assert noticed.wait(30)
    assert said == ["the policy's worker has died: ValueError: no room on the GPU"]
    del kept


@pytest.mark.parametrize("server_too", [False, True])
def test_a_server_without_its_engine_is_noticed(cluster: None, server_too: bool) -> None:
    class vLLMHttpServer:  # noqa: N801  (verl's name)
        def launch(self) -> int | None:
            import multiprocessing
            import subprocess

            # vLLM starts others as well, which end by themselves.
            subprocess.Popen(["sleep", "1"])
            self.engine = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
            self.engine.start()
            return self.engine.pid

    server = ray.remote(vLLMHttpServer).options(num_cpus=0).remote()
    said, noticed = _watched()
    engine = psutil.Process(ray.get(server.launch.remote()))
    assert not noticed.wait(4)
    for process in [*([engine.parent()] if server_too else []), engine]:
        process.kill()
    assert noticed.wait(20)
    assert said[0].startswith("vLLM's server has died" if server_too else "vLLM's engine has died")


def _watched() -> tuple[list[str], threading.Event]:
    """What the watch says, and whether it has."""
    said: list[str] = []
    noticed = threading.Event()

    def died(reason: str) -> None:
        said.append(reason)
        noticed.set()

    Watch().begin(died=died)
    return said, noticed
