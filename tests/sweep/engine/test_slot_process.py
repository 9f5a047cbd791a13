"""Slots that go wrong: real processes that do not start, hang or are killed."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from sweep.engine.slot import SlotSpecification, TrialRequest
from sweep.engine.slot_process import SlotDied, SlotProcess
from sweep.store.trial_log import chunks


def _slot(folder: Path, **overrides: object) -> SlotProcess:
    specification = SlotSpecification(
        address="127.0.0.1:1", namespace="test", overrides=overrides, environment={"VERL_PLATFORM": "cpu"}
    )
    return SlotProcess(specification=specification, folder=folder / "slot")


def _begin(slot: SlotProcess, folder: Path) -> None:
    slot.begin(TrialRequest(folder=str(folder / "trial"), overrides={}, seed=0))


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
