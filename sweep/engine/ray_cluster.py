"""The Ray cluster a study runs in, and what a trial reserves there.

The cluster is one that exists, or one started here and stopped with the study. The folder for the files of a Ray
started here is gone after the study, and so is whatever it started (`sweep.engine.reaper`).

A trial reserves all that it takes at once and on one node. All at once: a trial that holds one part and waits for
another would wait for ever once two of them do. On one node: a node that dies ends the trials that ran on it, and no
other.
"""

import contextlib
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import psutil

from sweep.engine import reaper
from sweep.engine.cut_off import WATCHED, ended_with_ray
from sweep.input.environment import LOOPBACK
from sweep.input.errors import UserError
from sweep.profiles.profile import Profile
from sweep.store.study_folder import STUDY_FILE
from sweep.tasks.registry import cache_folder

Bundle = dict[str, float]
# verl's own number for each GPU (`ResourcePoolManager.max_colocate_count`).
_CPUS_PER_GPU = 3
# TransferQueue's controller holds one, and so does each of its stores; the others hold none, and need one to start.
_HELPERS_CPUS, _VERLS_STORES = 3, 8
_STORES = "transfer_queue.backend.SimpleStorage.num_data_storage_units"
REPLAY: tuple[Bundle, ...] = ({"CPU": 1},)
# Ray gives its first process 30 seconds, which a busy machine may need more than once.
_ATTEMPTS = 3
_PATIENCE_SECONDS = 120.0
_PART_MILLISECONDS = 100


@contextlib.contextmanager
def ray_cluster(
    *, profile: Profile, slots: int, bundles: Sequence[Bundle], address: str | None, output: Path
) -> Iterator[str]:
    """Connect to a cluster, or start one, and give its address.

    On a CPU profile the cluster's CPUs and GPUs are logical: a "GPU" there is a part of a slot.

    Args:
        profile: Says how many CPUs to declare and how many GPUs a slot takes.
        slots: Trials side by side.
        bundles: What one trial reserves.
        address: Address of an existing cluster, or None.
        output: The study's folder, which every node must see.

    Raises:
        StudyCutOff: One of Ray's own processes died while the body ran.
        UserError: The address does not answer, no node has room for a trial, or one does not see the folder.
    """
    # A variable that stops Python from keeping compiled files makes every start three times slower.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    with _connected(address, output) if address is not None else _started(profile, slots, output):
        _end_on_terminate()
        if waiting := check_room(bundles=bundles, nodes=ray.nodes(), slots=slots):
            print(waiting, file=sys.stderr)
        yield ray.get_runtime_context().gcs_address


@contextlib.contextmanager
def _connected(address: str, output: Path) -> Iterator[None]:
    import ray

    try:
        with contextlib.chdir(output):  # as in `_start`
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError) as error:
        # Among the second kind is a cluster of another version of Ray or Python.
        reason = " ".join(str(error).split())[:500]
        raise UserError(f"no Ray cluster answers at {address!r} that this program can use: {reason}") from None
    try:
        _check_nodes(output)
        yield
    finally:
        ray.shutdown()


def _check_nodes(output: Path) -> None:
    """Ask every node whether it can run a trial."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Not imported by the nodes: whether they can is what is asked.
    def complaint(study_file: str) -> str:
        import importlib.util
        import pathlib

        if importlib.util.find_spec("sweep") is None or importlib.util.find_spec("iskpo") is None:
            return "has no iskpo-sweep in the Python that runs its Ray"
        return "" if pathlib.Path(study_file).is_file() else f"does not see {study_file}, which all nodes must share"

    asked = {
        node["NodeManagerAddress"]: ray.remote(complaint)
        .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(str(output.resolve() / STUDY_FILE))
        for node in ray.nodes()
        if node["Alive"]
    }
    for address, answer in asked.items():
        try:
            said = ray.get(answer, timeout=_PATIENCE_SECONDS)
        except ray.exceptions.RayError as error:
            said = f"does not run what it is given: {type(error).__name__}"
        if said:
            raise UserError(f"node {address} of the Ray cluster {said}")


@contextlib.contextmanager
def _started(profile: Profile, slots: int, output: Path) -> Iterator[None]:
    import ray

    on_cpu = profile.device == "cpu"
    cpus = profile.ray.logical_cpus * slots
    options: dict[str, Any] = {
        "num_cpus": cpus if on_cpu else max(cpus, os.cpu_count() or 1),
        "num_gpus": profile.ray.slot_gpus * slots if on_cpu else None,
        "include_dashboard": False,
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "object_store_memory": profile.ray.object_store_bytes,
        # A record of every call, which only the dashboard reads: verl makes so many that it grew by 20 MB a minute.
        "_system_config": {"task_events_report_interval_ms": 0},
    }
    with ray_folder() as folder:
        # What verl imports leaves files behind when its processes are killed: they go with the folder.
        temporary = folder / "tmp"
        temporary.mkdir()
        inherited: dict[str, str | None] = {
            **LOOPBACK,
            "TMPDIR": str(temporary),
            # This would be in there, and is worth keeping.
            "TORCHINDUCTOR_CACHE_DIR": os.environ.get(
                "TORCHINDUCTOR_CACHE_DIR", str(cache_folder().resolve() / "torchinductor")
            ),
        }
        if on_cpu:
            # Ray refuses more GPUs than the user lets CUDA see; those of a CPU profile are not CUDA's.
            inherited["CUDA_VISIBLE_DEVICES"] = None
        # A cluster that was there before bears the loss of a node, and is not watched.
        with ended_with_ray(output=output) as watched:
            try:
                with environment(**inherited), _closed_ray(), _watchable(watched):
                    # Ray opens what it is given to everybody (0777); the folder around it stays the user's alone.
                    _start(options, folder / "r", watched)
                yield
            finally:
                watched.clear()
                ray.shutdown()


@contextlib.contextmanager
def _closed_ray() -> Iterator[None]:
    """Have Ray 2.60 listen on loopback and ask nobody; there is no argument for either."""
    from ray._private import ray_constants, services

    before = ray_constants.ENABLE_RAY_CLUSTER, services.start_api_server
    # Ray has read the variable of `LOOPBACK` when it was imported; this is where it keeps what it read.
    ray_constants.ENABLE_RAY_CLUSTER = False
    # Ray's API server asks the metadata addresses of three clouds where it runs, without its dashboard and with its
    # statistics switched off as well. Nothing here needs it; this is what Ray itself makes of one that did not start.
    services.start_api_server = lambda *_, **__: (None, None)
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER, services.start_api_server = before


@contextlib.contextmanager
def _watchable(watched: dict[psutil.Process, str]) -> Iterator[None]:
    """Note which processes Ray 2.60 starts here, and let other threads look after them meanwhile.

    Ray tells nobody, and waits half a minute for the port of a GCS that has died, in C++ and with Python's lock held.
    """
    from ray._private import node, services

    start, wait = services.start_ray_process, node.wait_for_persisted_port

    def start_and_note(command: list[str], process_type: str, *args: Any, **options: Any) -> Any:
        started = start(command, process_type, *args, **options)
        if process_type in WATCHED:
            watched[psutil.Process(started.process.pid)] = process_type
        return started

    def wait_in_parts(*args: Any, timeout_ms: int) -> int:
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            try:
                return int(wait(*args, timeout_ms=_PART_MILLISECONDS))
            except Exception:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_PART_MILLISECONDS / 1000)

    services.start_ray_process, node.wait_for_persisted_port = start_and_note, wait_in_parts
    try:
        yield
    finally:
        services.start_ray_process, node.wait_for_persisted_port = start, wait


def _start(options: dict[str, Any], folder: Path, watched: dict[psutil.Process, str]) -> None:
    import ray

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            # Ray puts the current folder on its workers' path, where a user's types.py would stand for Python's.
            with contextlib.chdir(folder.parent):
                ray.init(**options, _temp_dir=str(folder))
            return
        except Exception as error:
            # Ray raises no class of its own here.
            watched.clear()
            ray.shutdown()
            if attempt == _ATTEMPTS:
                reason = " ".join(str(error).split())[:500]
                raise UserError(
                    f"Ray did not start on this machine in {_ATTEMPTS} attempts: {reason}. Its logs are gone with its "
                    "folder; free processors and memory, or start it yourself and give --address"
                ) from None


def _end_on_terminate() -> None:
    """Let a plain kill end the study as Ctrl-C does: Ray has just put a handler in place that aborts at once."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


_PREFIX, _LOCK = "iskpo-ray-", "owner.lock"
_REAPER = [sys.executable, "-I", "-S", reaper.__file__]


@contextlib.contextmanager
def ray_folder() -> Iterator[Path]:
    """Make a folder, and have it removed at the end with every process that is left of those that use it.

    It goes under the system's temporary folder: Unix sockets have a length limit of about 100 characters, so Ray's
    files cannot go under the output folder.
    """
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    # The kernel lets go of a lock when its process ends, however it ends.
    lock = filelock.FileLock(folder / _LOCK)
    with lock:
        reaping = subprocess.Popen([*_REAPER, folder], stdin=subprocess.PIPE, start_new_session=True)
        try:
            yield folder
        finally:
            reaping.communicate()


def _remove_abandoned() -> None:
    """Remove the folders of commands that were killed together with their reapers, as SLURM does."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Without a lock it is being made, or another user's, or of a version that had none.
        with contextlib.suppress(OSError, filelock.Timeout):
            if (folder / _LOCK).is_file():
                with filelock.FileLock(folder / _LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def environment(**values: str | None) -> Iterator[None]:
    """Set variables, or with None remove them, and put what was there back at the end."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def slot_bundles(profile: Profile) -> tuple[Bundle, ...]:
    """A bundle for each of the slot's GPUs, and one for verl's helpers."""
    stores = int(profile.verl.get(_STORES, _VERLS_STORES))
    gpu: Bundle = {"CPU": _CPUS_PER_GPU, "GPU": 1}
    return (*[gpu] * profile.ray.slot_gpus, {"CPU": _HELPERS_CPUS + stores})


def tune_resources(bundles: Sequence[Bundle]) -> Any:
    """The bundles for Ray Tune; the runner itself takes nothing, and lies on the slot's node."""
    from ray.tune import PlacementGroupFactory

    return PlacementGroupFactory([{}, *map(dict, bundles)], strategy="STRICT_PACK")


def room_for(*, bundles: Sequence[Bundle], nodes: Sequence[Mapping[str, Any]]) -> int:
    """How many trials fit side by side into the nodes of a cluster that nobody else uses."""
    needed = _sum(bundles)
    return sum(
        min(math.floor(node["Resources"].get(name, 0.0) / amount) for name, amount in needed.items())
        for node in nodes
        if node["Alive"]
    )


def check_room(*, bundles: Sequence[Bundle], nodes: Sequence[Mapping[str, Any]], slots: int) -> str:
    """What to tell people of a cluster that has room for fewer trials than there are slots, or "".

    Raises:
        UserError: No node has room for a single one.
    """
    room, needed = room_for(bundles=bundles, nodes=nodes), _in_words(_sum(bundles))
    if room >= slots:
        return ""
    if room:
        return f"slots: {slots}, and the cluster has room for {room} (a trial takes {needed} of one node): others wait"
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    have = {_in_words({name: node.get(name, 0.0) for name in _sum(bundles)}) for node in alive}
    raise UserError(
        f"no node of the Ray cluster has room for a trial, which takes {needed} of one node; its nodes ({len(alive)}) "
        f"have {' or '.join(sorted(have))} each: see ray.gpus_per_trial in the study, and --num-cpus of `ray start`"
    )


def _sum(bundles: Sequence[Bundle]) -> Bundle:
    names = {name for bundle in bundles for name in bundle}
    return {name: sum(bundle.get(name, 0.0) for bundle in bundles) for name in names}


def _in_words(resources: Bundle) -> str:
    return " and ".join(f"{resources[name]:g} {name}s" for name in sorted(resources, reverse=True))
