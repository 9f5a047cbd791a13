"""A process of Ray's that dies ends the study with a message; the stand-in has its name and nothing else of it."""

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweep.engine.ray_alive import ended_with_ray
from sweep.input.errors import EXIT_INTERRUPTED, StudyCutOff


def _process_named(name: str, folder: Path) -> "subprocess.Popen[bytes]":
    program = shutil.which("sleep")
    assert program is not None
    shutil.copy(program, folder / name)
    return subprocess.Popen([str(folder / name), "60"])


@pytest.fixture(autouse=True)
def _sigterm_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


def _body(process: "subprocess.Popen[bytes]") -> None:
    with ended_with_ray(output=Path("out/folder")):
        process.kill()
        time.sleep(30)


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_the_body_ends_when_a_process_of_rays_dies(name: str, tmp_path: Path) -> None:
    process = _process_named(name, tmp_path)
    with pytest.raises(StudyCutOff, match=rf"{name} has died.*iskpo-sweep resume out/folder") as ended:
        _body(process)
    assert ended.value.exit_code == EXIT_INTERRUPTED
    process.wait()


def test_an_interrupt_stays_an_interrupt(tmp_path: Path) -> None:
    process = _process_named("raylet", tmp_path)
    with pytest.raises(KeyboardInterrupt), ended_with_ray(output=tmp_path):
        signal.raise_signal(signal.SIGTERM)
    process.kill()
    process.wait()


def test_nothing_is_watched_after_the_body(tmp_path: Path) -> None:
    process = _process_named("raylet", tmp_path)
    with ended_with_ray(output=tmp_path):
        watcher = next(thread for thread in threading.enumerate() if thread.name == "ray-alive")
    process.kill()
    process.wait()
    watcher.join(timeout=10)
    assert not watcher.is_alive()
