"""A Ray that is started here and stopped with the study: it stays on this machine, and leaves nothing behind.

The folder for its files is gone after the study, and so is whatever it started (`sweep.engine.reaper`).
"""

import contextlib
import functools
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import psutil

from sweep.engine import reaper
from sweep.engine.cut_off import WATCHED, ended_with_ray
from sweep.input.environment import LOOPBACK
from sweep.input.errors import UserError
from sweep.profiles.profile import Profile
from sweep.tasks.registry import cache_folder

# Ray gives its first process 30 seconds, which a busy machine may need more than once.
_ATTEMPTS = 3
_PART_MILLISECONDS = 100


@contextlib.contextmanager
def started_ray(*, profile: Profile, slots: int, output: Path) -> Iterator[None]:
    """Start a Ray for so many slots, and stop it at the end.

    Raises:
        StudyCutOff: One of Ray's own processes died while the body ran.
        UserError: It does not start.
    """
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
            # And this process's: Ray Tune imports wandb where it is installed, which makes folders as it is imported.
            before, tempfile.tempdir = tempfile.tempdir, str(temporary)
            try:
                with environment(**inherited), _closed_ray(), _watchable(watched):
                    # Ray opens what it is given to everybody (0777); the folder around it stays the user's alone.
                    _start(options, folder / "r", watched)
                yield
            finally:
                tempfile.tempdir = before
                watched.clear()
                ray.shutdown()


@contextlib.contextmanager
def _closed_ray() -> Iterator[None]:
    """Have Ray 2.60 listen on loopback and ask nobody; there is no argument for either."""
    from ray._private import ray_constants, services

    before = ray_constants.ENABLE_RAY_CLUSTER, services.start_api_server, services.ConsolePopen
    # Ray has read the variable of `LOOPBACK` when it was imported; this is where it keeps what it read.
    ray_constants.ENABLE_RAY_CLUSTER = False
    # Ray's API server asks the metadata addresses of three clouds where it runs, without its dashboard and with its
    # statistics switched off as well. Nothing here needs it; this is what Ray itself makes of one that did not start.
    services.start_api_server = lambda *_, **__: (None, None)
    # `timeout` and terminals signal a whole process group: Ray must outlive a SIGTERM that trials are to hear of.
    services.ConsolePopen = functools.partial(services.ConsolePopen, process_group=0)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER, services.start_api_server, services.ConsolePopen = before  # type: ignore[misc]


@contextlib.contextmanager
def _watchable(watched: dict[psutil.Process, str]) -> Iterator[None]:
    """Note which processes Ray 2.60 starts here, and let other threads look after them meanwhile.

    Ray tells nobody, and waits half a minute for the port of a GCS that has died, in C++ and with Python's lock held.
    """
    import ray._private.node
    from ray._private import services

    # As anything: the module does not say that it lends what it imports.
    node: Any = ray._private.node
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
