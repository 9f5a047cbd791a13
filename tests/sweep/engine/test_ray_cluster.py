"""Ray's folder goes with its study, also when the study was killed; and so do the variables that Ray inherits."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.engine.ray_cluster import REPLAY, check_room, environment, ray_folder, room_for, slot_bundles, tune_resources
from sweep.input.errors import UserError
from sweep.profiles.profile import available_profiles, load_profile

HOLD = """
import sys, time
from sweep.engine.ray_cluster import ray_folder
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


def _node(*, cpus: float, gpus: float, alive: bool = True) -> dict[str, object]:
    return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}}


@pytest.mark.parametrize("name", available_profiles())
@pytest.mark.parametrize("gpus", [None, 1, 4])
def test_verl_is_given_what_is_reserved(name: str, gpus: int | None) -> None:
    profile = load_profile(name).with_gpus(gpus)
    *workers, helpers = slot_bundles(profile)
    assert len(workers) == profile.verl["trainer.n_gpus_per_node"] * profile.verl["trainer.nnodes"] == (gpus or 1)
    assert all(bundle == {"CPU": 3, "GPU": 1} for bundle in workers)
    assert "GPU" not in helpers
    if profile.device == "cpu":
        # A cluster that is started here has room for it.
        assert sum(bundle["CPU"] for bundle in slot_bundles(load_profile(name))) <= profile.ray.logical_cpus


def test_tune_reserves_it_on_one_node_and_gives_the_runner_nothing() -> None:
    request = tune_resources(slot_bundles(load_profile("tiny")))
    assert (request.head_bundle_is_empty, request.strategy) == (True, "STRICT_PACK")
    assert request.bundles == [{"CPU": 3, "GPU": 1}, {"CPU": 4}]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8), st.booleans()), max_size=5), st.integers(1, 4))
def test_room_is_what_can_be_taken_out_of_each_node_one_after_another(
    cluster: list[tuple[int, int, bool]], gpus: int
) -> None:
    bundles = ({"CPU": 3, "GPU": 1},) * gpus + ({"CPU": 4},)
    taken = 0
    for cpus, devices, alive in cluster:
        while alive and cpus >= 3 * gpus + 4 and devices >= gpus:
            cpus, devices, taken = cpus - 3 * gpus - 4, devices - gpus, taken + 1
    nodes = [_node(cpus=cpus, gpus=devices, alive=alive) for cpus, devices, alive in cluster]
    assert room_for(bundles=bundles, nodes=nodes) == taken


def test_too_little_room_is_said_and_none_is_refused() -> None:
    bundles = slot_bundles(load_profile("tiny"))
    nodes = [_node(cpus=8, gpus=1), _node(cpus=64, gpus=0), _node(cpus=64, gpus=8, alive=False)]
    assert check_room(bundles=bundles, nodes=nodes, slots=1) == ""
    assert check_room(bundles=REPLAY, nodes=nodes, slots=72) == ""
    assert "room for 1 (a trial takes 1 GPUs and 7 CPUs of one node)" in check_room(
        bundles=bundles, nodes=nodes, slots=2
    )
    with pytest.raises(UserError, match=r"7 CPUs of one node; its nodes \(1\) have 0 GPUs and 64 CPUs each"):
        check_room(bundles=bundles, nodes=nodes[1:], slots=1)
