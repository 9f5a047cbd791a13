"""Ray's folder and processes go with its study, also when it was killed; and so do the variables that Ray inherits."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from sweep.engine.own_ray import environment, ray_folder

HOLD = """
import sys, time
from sweep.engine.own_ray import ray_folder
with ray_folder() as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_it_goes_with_the_study_and_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    without_lock = tmp_path / "iskpo-ray-older"
    without_lock.mkdir()
    with ray_folder() as folder:
        (folder / "session").mkdir()
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == [without_lock]


def _children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


@pytest.mark.parametrize("with_reaper", [False, True])
def test_that_of_a_killed_command_goes_at_once_or_with_the_next_and_that_of_a_living_one_stays(
    tmp_path: Path, with_reaper: bool
) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    others: list[subprocess.Popen[bytes]] = []
    try:
        folders = [Path(process.stdout.readline().strip()) for process in processes if process.stdout]
        assert all((folder / "owner.lock").is_file() for folder in folders)
        # What a Ray would have started, and does not end by itself.
        others += [subprocess.Popen(["sleep", "600"], env={"TMPDIR": f"{folder}/tmp"}) for folder in folders]
        (reaper,) = _children(processes[0])
        if with_reaper:
            # As SLURM kills: all that belongs to a job.
            reaper.kill()
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        if with_reaper:
            assert folders[0].is_dir()
            with ray_folder() as own:
                assert sorted(tmp_path.iterdir()) == sorted([folders[1], own])
        else:
            reaper.wait(60)
            assert others[0].wait(10) == -signal.SIGKILL
            assert list(tmp_path.iterdir()) == [folders[1]]
        assert others[1].poll() is None
    finally:
        for process in [*processes, *others]:
            process.kill()
            process.communicate()


def test_it_sets_and_removes_for_the_block_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISKPO_TEST_SET", "old")
    monkeypatch.setenv("ISKPO_TEST_REMOVED", "kept")
    monkeypatch.delenv("ISKPO_TEST_NEW", raising=False)
    before = dict(os.environ)
    with (
        contextlib.suppress(RuntimeError),
        environment(ISKPO_TEST_SET="new", ISKPO_TEST_REMOVED=None, ISKPO_TEST_NEW="here"),
    ):
        seen = dict(os.environ)
        raise RuntimeError
    assert (seen["ISKPO_TEST_SET"], seen["ISKPO_TEST_NEW"]) == ("new", "here")
    assert "ISKPO_TEST_REMOVED" not in seen
    assert dict(os.environ) == before
