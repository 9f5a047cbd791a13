"""The watch over a slot's processes, on real Ray actors."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray

from iskpo.verl.session import named_actors, watch_actors


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    # Its own, whatever else runs on this machine: other tests start Ray side by side with this one.
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, namespace="here")
    yield
    ray.shutdown()


def test_a_dead_actor_is_noticed_and_a_busy_one_left_alone(cluster: None) -> None:
    # Not of this module, which an actor's process could not import.
    class Worker:
        def busy(self, seconds: float) -> None:
            time.sleep(seconds)

    worker = ray.remote(Worker)
    first = worker.options(name="first", num_cpus=0).remote()
    second = worker.options(name="second", num_cpus=0).remote()
    elsewhere = worker.options(name="third", namespace="elsewhere", num_cpus=0).remote()
    ray.get([actor.busy.remote(0) for actor in (first, second, elsewhere)])
    actors = named_actors({"here"})
    assert set(actors) == {"first", "second"}
    said, noticed = _watched(actors)
    first.busy.remote(60)
    # Longer than it takes to look twice.
    assert not noticed.wait(6)
    ray.kill(second)
    assert noticed.wait(20)
    assert said[0].startswith("second died: ")


def test_a_server_without_its_engine_is_noticed(cluster: None) -> None:
    class Engine:
        errored = False

    class Server:
        engine: Engine | None = None

        async def launch(self) -> None:
            self.engine = Engine()

        async def lose_engine(self) -> None:
            self.engine.errored = True  # type: ignore[union-attr]

    server = ray.remote(Server).options(num_cpus=0).remote()
    said, noticed = _watched({"server": server})
    ray.get(server.launch.remote())
    assert not noticed.wait(6)
    ray.get(server.lose_engine.remote())
    assert noticed.wait(20)
    assert said == ["server has lost its engine: vLLM's engine process died"]


def _watched(actors: dict[str, Any]) -> tuple[list[str], threading.Event]:
    """What the watch says, and whether it has."""
    said: list[str] = []
    noticed = threading.Event()

    def died(reason: str) -> None:
        said.append(reason)
        noticed.set()

    watch_actors(actors, died=died)
    return said, noticed
