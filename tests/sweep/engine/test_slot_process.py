"""Slots that go wrong: real processes that do not start, hang, are killed or grow; and steps without numbers."""

import math
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from iskpo.verl.checkpoint import Checkpointing
from sweep.engine.slot import (
    EventListener,
    EventReader,
    EventWriter,
    NotFiniteError,
    SlotSpecification,
    TrialRequest,
    check_finite,
)
from sweep.engine.slot_process import NAMESPACE, SlotDied, SlotHealth, SlotProcess, memory_of
from sweep.store.trial_log import chunks


def _slot(folder: Path, **overrides: object) -> SlotProcess:
    specification = SlotSpecification(
        address="127.0.0.1:1", namespace="test", overrides=overrides, environment={"VERL_PLATFORM": "cpu"}
    )
    return SlotProcess(specification=specification, folder=folder / "slot")


def _begin(slot: SlotProcess, folder: Path) -> None:
    checkpoints = Checkpointing(folder=str(folder / "checkpoints"), every=0, notice=str(folder / ".notice"))
    slot.begin(TrialRequest(folder=str(folder / "trial"), overrides={}, seed=0, checkpoints=checkpoints))


def _read_until_it_ends(slot: SlotProcess, *, patience: float) -> None:
    while True:
        slot.events(patience=patience)


def test_a_slot_that_cannot_start_says_why(tmp_path: Path) -> None:
    slot = _slot(tmp_path, **{"actor_rollout_ref.no_such_setting": 1})
    _begin(slot, tmp_path)
    events = []
    while not events or events[-1].kind != "failed":
        events += slot.events(patience=300)
    assert "actor_rollout_ref.no_such_setting" in events[-1].text
    # What it printed can be found by the attempt's folder.
    printed = b"".join(chunks(output=tmp_path, folder=tmp_path / "trial", follow=False))
    assert b"Traceback" in printed
    slot.close()
    assert not slot.alive


def test_a_silent_slot_is_ended(tmp_path: Path) -> None:
    slot = _slot(tmp_path)
    _begin(slot, tmp_path)
    # Importing verl takes longer than this patience, so the slot is silent for too long.
    with pytest.raises(SlotDied, match=r"no progress for 0 s"):
        _read_until_it_ends(slot, patience=0.2)
    assert not slot.alive


def test_a_killed_slot_is_noticed(tmp_path: Path) -> None:
    slot = _slot(tmp_path)
    _begin(slot, tmp_path)
    os.kill(slot._process.pid, signal.SIGKILL)
    with pytest.raises(SlotDied, match="exit code -9"):
        _read_until_it_ends(slot, patience=60)


def test_a_slot_ends_with_its_runner(tmp_path: Path) -> None:
    slot = _slot(tmp_path)
    process = psutil.Process(slot._process.pid)
    slot.close()
    assert not process.is_running()


@pytest.mark.parametrize(("users", "slots"), [("3", "3"), ("", None), (None, None)])
def test_a_slot_sees_the_gpus_that_the_user_lets_cuda_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: str | None, slots: str | None
) -> None:
    if users is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", users)
    slot = _slot(tmp_path)
    process = psutil.Process(slot._process.pid)
    # A process that has just begun shows none for a moment.
    while not (variables := process.environ()):
        time.sleep(0.01)
    slot.kill()
    assert variables.get("CUDA_VISIBLE_DEVICES") == slots


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
    listener = EventListener(EventWriter(path))
    with pytest.raises(NotFiniteError):
        listener.log({"actor/grad_norm": math.nan, "kalman/gain_mean": 0.1}, 2)
    (event,) = EventReader(path).read()
    assert (event.step, event.metrics) == (2, {"kalman/gain_mean": 0.1})
