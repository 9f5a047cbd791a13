"""What must hold before a study starts. Every check leaves the machine as it found it."""

import importlib.util
import os
import shutil
import socket
import sys
import sysconfig
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from sweep.input.addresses import check_database_path
from sweep.input.errors import UserError
from sweep.profiles.profile import Profile
from sweep.tasks.registry import check_model

_SHARED_MEMORY = Path("/dev/shm")
_CURRENT_CLUSTER = Path(tempfile.gettempdir()) / "ray" / "ray_current_cluster"
# Ray's sockets: 107 bytes is the system's limit, and Ray and we put about 86 after the temp folder's name.
_LONGEST_TEMP_FOLDER = 21
_PARTS = {"ray": "schedules trials", "verl": "trains", "vllm": "generates", "mlflow": "records"}


def check_before_start(
    *,
    profile: Profile,
    output: Path,
    ui_port: int | None,
    ray_address: str | None,
    resume: bool = False,
    trains: bool = True,
    checkpoints_gb: float = 0.0,
) -> None:
    """Run every check that a study needs.

    Args:
        profile: Says how much disk and shared memory it takes.
        output: The folder the study is to fill.
        ui_port: Port for MLflow's pages while the study runs, or None.
        ray_address: Address of an existing Ray cluster, or None.
        resume: Whether the folder holds the study already.
        trains: Whether anything is trained; a replay is not.
        checkpoints_gb: Disk space that checkpoints take in the output folder besides.

    Raises:
        UserError: The first check that fails, with what to do about it.
    """
    if resume:
        _check_writable(output)
    else:
        check_output_is_free(output)
    check_installed()
    temp = _temp_folder()
    for folder, purpose, besides in ((_nearest_existing(output), "output", checkpoints_gb), (temp, "temp", 0.0)):
        check_free_space(folder, purpose=purpose, needed_gb=profile.minimum_free_gb + besides)
    check_shared_memory(needed_mb=profile.minimum_shared_memory_mb)
    if trains:
        check_model(profile.model)
    if trains and profile.device == "cuda":
        check_compiler()
    if ui_port is not None:
        check_port_is_free(ui_port)
    if ray_address is not None:
        check_ray_answers(ray_address)
    else:
        check_temp_folder()


def check_output_is_free(output: Path) -> None:
    """The output folder holds nothing, can be written to and can hold a database; nothing is ever overwritten."""
    check_database_path(output)
    try:
        if output.is_dir():
            if (output / "mlflow.db").exists():
                raise UserError(f"{output} already holds a study; choose another --output or delete it")
            if any(output.iterdir()):
                raise UserError(f"{output} is not empty; choose another --output")
        elif output.exists() or output.is_symlink():
            raise UserError(f"{output} is a file; choose another --output")
        _check_writable(_nearest_existing(output))
    except OSError as error:
        raise UserError(f"the output folder {output} cannot be used: {error.strerror}") from None


def check_installed() -> None:
    """The four components are installed; only looked up, since importing them takes seconds."""
    missing = [f"{name} ({what})" for name, what in _PARTS.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"not installed: {', '.join(missing)}; install iskpo-sweep with its extra cpu or gpu")


def check_free_space(folder: Path, *, purpose: str, needed_gb: float) -> None:
    """The file system of a folder has so many free GB (10^9 bytes)."""
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < needed_gb:
        option = "--output" if purpose == "output" else "TMPDIR"
        raise UserError(
            f"not enough disk space in the {purpose} folder {folder}: {free_gb:.1f} GB free, {needed_gb:g} GB needed; "
            f"free some, or choose another place with {option}"
        )


def check_shared_memory(*, needed_mb: float) -> None:
    """/dev/shm, where weights and results pass between processes, has so many free MB (10^6 bytes)."""
    if not _SHARED_MEMORY.is_dir():
        return
    free_mb = shutil.disk_usage(_SHARED_MEMORY).free / 1e6
    if free_mb < needed_mb:
        raise UserError(
            f"not enough shared memory in {_SHARED_MEMORY}: {free_mb:.0f} MB free, {needed_mb:g} MB needed; "
            "free some, or start a container with a larger --shm-size"
        )


def check_compiler() -> None:
    """What Triton needs on a GPU machine to launch kernels, vLLM's and ours: a C compiler, and Python's headers."""
    if compiler() is None:
        raise UserError("no C compiler, which Triton needs for kernels on a GPU; install gcc, or name one in CC")
    header = Path(sysconfig.get_paths(scheme="posix_prefix")["include"]) / "Python.h"
    if not header.is_file():
        raise UserError(
            f"no {header}, which Triton needs for kernels on a GPU; install Python's headers (on Debian or Ubuntu "
            f"python{sys.version_info.major}.{sys.version_info.minor}-dev)"
        )


def compiler() -> str | None:
    """The C compiler that Triton would call; None where there is none."""
    names = (os.environ["CC"],) if "CC" in os.environ else ("gcc", "clang")
    return next(filter(None, map(shutil.which, names)), None)


def check_temp_folder() -> None:
    """Ray's sockets fit under the temp folder."""
    temp = _temp_folder()
    if len(os.fsencode(temp)) > _LONGEST_TEMP_FOLDER:
        raise UserError(
            f"the temp folder's name is too long for Ray's sockets: {temp}; set TMPDIR to a shorter one, such as /tmp"
        )


def check_port_is_free(port: int) -> None:
    """Nothing listens on a port of the loopback interface."""
    if not 1 <= port <= 65535:
        raise UserError(f"port {port} is not between 1 and 65535")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A connection closed a moment ago keeps its port busy for others, but not for a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(f"port {port} on 127.0.0.1 cannot be used ({error.strerror}); choose another") from None


def check_ray_answers(address: str) -> None:
    """Something listens at a Ray address: ``auto``, ``host:port`` or ``ray://host:port``."""
    if (url := urlsplit(address)).scheme in ("http", "https"):
        host = url.netloc.rpartition("@")[2].rsplit(":", 1)[0] or "HOST"
        raise UserError(
            f"the Ray address {url.scheme}://{host}... is that of Ray's dashboard and job server; give the cluster's "
            f"own, which `ray start --head` names: {host}:6379, if nobody chose another port"
        )
    target = address
    if address == "auto":
        try:
            target = _CURRENT_CLUSTER.read_text(encoding="utf-8").strip()
        except OSError:
            raise UserError(
                "no Ray cluster runs on this machine (address 'auto'); start one with `ray start --head`"
            ) from None
    host, _, port = target.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"the Ray address {address!r} is neither 'auto' nor host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"no Ray cluster answers at {address!r}: {error}") from None


def _temp_folder() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise UserError("no usable temp folder; set TMPDIR to a folder that can be written to") from None


def _nearest_existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _check_writable(folder: Path) -> None:
    # Asking for permission is not enough: root may write anywhere, and a full or read-only disk still refuses.
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"the output folder cannot be written to: {folder}: {error.strerror}") from None
