"""The Ray cluster a study runs in: one that exists, or one started here and stopped with the study."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sweep.engine.environment import environment
from sweep.engine.ray_alive import ended_with_ray
from sweep.engine.ray_folder import ray_folder
from sweep.engine.slot_resources import Bundle, check_room
from sweep.input.errors import UserError
from sweep.profiles.profile import Profile
from sweep.store.study_folder import STUDY_FILE
from sweep.tasks.registry import cache_folder

# Ray gives its first process 30 seconds, which a busy machine may need more than once.
_ATTEMPTS = 3
_PATIENCE_SECONDS = 120.0


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
    # Nothing about a study leaves the machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    with _connected(address, output) if address is not None else _started(profile, slots):
        _end_on_terminate()
        if waiting := check_room(bundles=bundles, nodes=ray.nodes(), slots=slots):
            print(waiting, file=sys.stderr)
        # A cluster that was there before bears the loss of a node.
        with ended_with_ray(output=output) if address is None else contextlib.nullcontext():
            yield ray.get_runtime_context().gcs_address


@contextlib.contextmanager
def _connected(address: str, output: Path) -> Iterator[None]:
    import ray

    try:
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
def _started(profile: Profile, slots: int) -> Iterator[None]:
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
            "TMPDIR": str(temporary),
            # This would be in there, and is worth keeping.
            "TORCHINDUCTOR_CACHE_DIR": os.environ.get(
                "TORCHINDUCTOR_CACHE_DIR", str(cache_folder().resolve() / "torchinductor")
            ),
        }
        if on_cpu:
            # Ray refuses more GPUs than the user lets CUDA see; those of a CPU profile are not CUDA's.
            inherited["CUDA_VISIBLE_DEVICES"] = None
        try:
            with environment(**inherited):
                _start(options, folder)
            yield
        finally:
            ray.shutdown()


def _start(options: dict[str, Any], folder: Path) -> None:
    import ray

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ray.init(**options, _temp_dir=str(folder))
            return
        except Exception as error:
            # Ray raises no class of its own here.
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
