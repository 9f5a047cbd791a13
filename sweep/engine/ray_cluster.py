"""The Ray cluster a study runs in: one that exists, or one started here and stopped with the study."""

import contextlib
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sweep.errors import UserError
from sweep.profiles import Profile


@contextlib.contextmanager
def ray_cluster(*, profile: Profile, slots: int, address: str | None, output: Path) -> Iterator[str]:
    """Connect to a cluster, or start one, and give its address.

    On a CPU profile the cluster's CPUs and GPUs are logical: a "GPU" there is a slot.

    Args:
        profile: Says how many CPUs to declare and how many GPUs a slot takes.
        slots: Trials side by side.
        address: Address of an existing cluster, or None.
        output: The study's folder, which gets the cluster's log when it is started here.

    Raises:
        UserError: The address does not answer, or the cluster has too few GPUs.
    """
    # A variable that stops Python from keeping compiled files makes every start three times slower.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Nothing about a study leaves the machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if address is not None:
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except ConnectionError as error:
            raise UserError(f"no Ray cluster answers at {address!r}: {error}") from None
        _end_on_terminate()
        try:
            yield ray.get_runtime_context().gcs_address
        finally:
            ray.shutdown()
        return
    # Unix sockets have a length limit of about 100 characters, so Ray's files cannot go under the output folder.
    folder = Path(tempfile.mkdtemp(prefix="iskpo-ray-"))
    try:
        ray.init(
            num_cpus=profile.ray.logical_cpus * slots if profile.device == "cpu" else None,
            num_gpus=profile.ray.slot_gpus * slots if profile.device == "cpu" else None,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
            object_store_memory=profile.ray.object_store_bytes,
            _temp_dir=str(folder),
            # A record of every call, which only the dashboard reads: verl makes so many that it grew by 20 MB a minute.
            _system_config={"task_events_report_interval_ms": 0},
        )
        _end_on_terminate()
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _end_on_terminate() -> None:
    """Let a plain kill end the study as Ctrl-C does: Ray has just put a handler in place that aborts at once."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
