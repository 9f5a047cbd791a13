"""One process a folder, by the operating system's lock: real processes are started and killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.input.errors import UserError
from sweep.store.study_folder import (
    AT_ONCE,
    ask_to_stop,
    asked_to_stop,
    attempts,
    end_now,
    new_attempt,
    owned,
    owner,
    refuse_if_owned,
)

_HOLD = """
import sys, time
from pathlib import Path
from sweep.store.study_folder import owned
with owned(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""


def _holder(folder: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


def test_a_second_process_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    process = _holder(tmp_path)
    try:
        running = owner(tmp_path)
        assert running is not None
        assert running.pid == process.pid
        assert running.is_local
        with pytest.raises(UserError, match=f"in use by process {process.pid} on .*iskpo-sweep stop"), owned(tmp_path):
            pass
        with pytest.raises(UserError, match="in use by process"):
            refuse_if_owned(tmp_path)
    finally:
        process.kill()
        process.wait()


def test_a_killed_process_leaves_the_folder_free(tmp_path: Path) -> None:
    process = _holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert owner(tmp_path) is None
    refuse_if_owned(tmp_path)
    with owned(tmp_path):
        pass


def test_stop_asks_and_stop_now_ends(tmp_path: Path) -> None:
    process = _holder(tmp_path)
    try:
        assert not asked_to_stop(tmp_path)
        assert f"process {process.pid}" in ask_to_stop(tmp_path)
        assert asked_to_stop(tmp_path)
        assert end_now(tmp_path).startswith("ended process")
        assert process.wait(timeout=20) == -AT_ONCE
    finally:
        process.kill()
        process.wait()
    with owned(tmp_path):
        # An earlier wish to stop is not one to stop what is started after it.
        assert not asked_to_stop(tmp_path)


def test_nothing_to_stop_is_said(tmp_path: Path) -> None:
    for end in (ask_to_stop, end_now):
        with pytest.raises(UserError, match=r"nothing runs in .*resume"):
            end(tmp_path)


def test_every_attempt_has_a_folder_of_its_own(tmp_path: Path) -> None:
    first, second = new_attempt(tmp_path, "a_s0"), new_attempt(tmp_path, "a_s0")
    (first / "events.jsonl").touch()
    assert [path.name for path in attempts(tmp_path, "a_s0")] == ["attempt_01", "attempt_02"]
    assert list(second.iterdir()) == []
    assert attempts(tmp_path, "b_s0") == []
