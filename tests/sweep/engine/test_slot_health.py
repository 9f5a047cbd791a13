"""Memory of real processes that carry a slot's name."""

import math
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sweep.engine.events import EventReader, EventWriter
from sweep.engine.slot import _EventListener
from sweep.engine.slot_health import NAMESPACE, NotFiniteError, SlotHealth, check_finite, memory_of

_HOLD = """
import sys
held = b"x" * int(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""
Hold = Callable[[int], "subprocess.Popen[str]"]


@pytest.fixture
def namespace() -> str:
    return f"transfer_queue_{uuid.uuid4().hex}"


@pytest.fixture
def hold(namespace: str) -> Iterator[Hold]:
    """Start a process of the slot that holds so many bytes."""
    started: list[subprocess.Popen[str]] = []

    def start(size: int) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(size)],
            env={**os.environ, NAMESPACE: namespace},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_memory_is_that_of_the_slots_own_processes(hold: Hold, namespace: str) -> None:
    assert memory_of(namespace) == 0
    hold(60_000_000)
    hold(40_000_000)
    assert 100_000_000 < memory_of(namespace) < 160_000_000
    assert memory_of(f"{namespace}x") == 0


def test_a_slot_that_grows_is_complained_of(hold: Hold, namespace: str) -> None:
    health = SlotHealth(namespace=namespace)
    hold(60_000_000)
    assert health.complaint() == ""
    assert health.complaint() == ""
    grown = hold(100_000_000)
    assert "its memory has grown from 0.1 to 0.2 GB" in health.complaint()
    grown.kill()
    grown.communicate()
    assert health.complaint() == ""


@pytest.mark.parametrize("name", ["actor/pg_loss", "actor/grad_norm", "critic/score/mean"])
@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32("-inf")])
def test_a_step_without_numbers_is_noticed(name: str, value: float) -> None:
    with pytest.raises(NotFiniteError, match=f"step 3: {name} is "):
        check_finite(metrics={"actor/pg_loss": 0.5, name: value}, step=3)


def test_what_may_be_infinite_is_no_complaint() -> None:
    check_finite(metrics={"kalman/threshold": math.inf, "actor/grad_norm": 0.0, "evaluation/x": "text"}, step=1)


def test_the_step_is_recorded_before_the_trial_fails(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    listener = _EventListener(EventWriter(path))
    with pytest.raises(NotFiniteError):
        listener.log({"actor/grad_norm": math.nan, "kalman/gain_mean": 0.1}, 2)
    (event,) = EventReader(path).read()
    assert (event.step, event.metrics) == (2, {"kalman/gain_mean": 0.1})
