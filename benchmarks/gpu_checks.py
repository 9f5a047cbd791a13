"""All that only a GPU can show, in one go, in the order of need; what was seen goes into a folder.

    python benchmarks/gpu_checks.py --output DIR                           # all of it
    python benchmarks/gpu_checks.py --output DIR --only tune kernel tests  # for these torch, numpy and pytest do

Each part is a process with a time limit of its own, and one that fails does not stop the next. At the end one line a
part, the same in `summary.json`, and exit status 1 if a part failed, 2 without a GPU. A study's folder is packed as
well, as `NAME.tar.gz`: to carry it away, and to open it elsewhere with `iskpo-sweep ui` and `report`.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
_PYTHON = sys.executable
_VERSIONS = ("torch", "triton", "vllm", "verl", "ray", "transformers", "mlflow", "numpy", "flashinfer-python")


_PROFILE = "small-gpu"


@dataclass(frozen=True)
class Study:
    """A study to run, and the exit statuses that are as expected."""

    file: str
    seconds: int
    expected: tuple[int, ...] = (0,)


STUDIES = {
    "trial": Study("studies/smoke.yaml", 420),
    # Its last arm is to fail with NaN: status 1.
    "numerics": Study("studies/numerics_long.yaml", 600, expected=(0, 1)),
}
_PYTEST = ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-m", "gpu"]
_KERNEL_TESTS = ["tests/iskpo/kernels/test_triton_scan.py", "tests/iskpo/kernels/test_filter_gpu.py"]
# "{}" stands for the output folder.
COMMANDS = {
    "tune": (["benchmarks/gpu_filter.py", "--tune", "--output", "{}/tune.json"], 120),
    "kernel": (["benchmarks/gpu_filter.py", "--output", "{}/kernel.json"], 240),
    # Compiling kernels takes most of the time: side by side.
    "tests": ([*_PYTEST, "--numprocesses=auto", "--maxprocesses=8", *_KERNEL_TESTS], 240),
    "teaching": ([*_PYTEST, "tests/sweep/tasks/test_series.py"], 120),
}
PARTS = ("machine", *COMMANDS, *STUDIES)


@dataclass(frozen=True)
class Outcome:
    """How a part ended; a status of None says that it ran out of time."""

    part: str
    passed: bool
    status: int | None
    seconds: float


def main() -> int:
    """Run the parts; see the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a folder that does not exist yet")
    parser.add_argument("--profile", default=_PROFILE, help="the profile of the studies")
    parser.add_argument("--seconds", type=int, help="limit of each study in place of its own; it is interrupted then")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    asked = parser.parse_args()
    if (asked.profile == _PROFILE or not set(asked.only).isdisjoint(COMMANDS)) and not torch.cuda.is_available():
        # Tests that are skipped would count as passed.
        print("no CUDA device: nothing was checked (of --only trial numerics, --profile tiny-long runs on a CPU)")
        return 2
    output: Path = asked.output.resolve()
    output.mkdir(parents=True)
    outcomes = [_part(name, output, asked) for name in PARTS if name in asked.only]
    (output / "summary.json").write_text(
        json.dumps([asdict(one) for one in outcomes], indent=1) + "\n", encoding="utf-8"
    )
    for one in outcomes:
        status = "out of time" if one.status is None else f"exit status {one.status}"
        print(f"{one.part:10} {'passed' if one.passed else 'FAILED':7} {one.seconds:6.0f} s  {status}")
    return 0 if all(one.passed for one in outcomes) else 1


def _part(name: str, output: Path, asked: argparse.Namespace) -> Outcome:
    began = time.monotonic()
    print(f"==== {name}", flush=True)
    if name == "machine":
        status, expected = _machine(output / "machine.txt"), (0,)
    elif name in COMMANDS:
        arguments, seconds = COMMANDS[name]
        command = [_PYTHON, *(word.format(output) for word in arguments)]
        status, expected = _logged(command, output / f"{name}.txt", seconds), (0,)
    else:
        status, expected = _study(STUDIES[name], output / name, asked), STUDIES[name].expected
    return Outcome(name, status in expected, status, round(time.monotonic() - began, 1))


def _machine(log: Path) -> int | None:
    """Hardware, driver and versions."""
    lines = [f"Python {platform.python_version()}, {os.cpu_count()} CPU cores"]
    for name in _VERSIONS:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} is not installed")
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(log.read_text(encoding="utf-8"), flush=True)
    query = "--query-gpu=name,memory.total,driver_version,clocks.max.sm,clocks.max.memory"
    return _logged(["nvidia-smi", query, "--format=csv"], log, 60)


def _study(study: Study, folder: Path, asked: argparse.Namespace) -> int | None:
    """Run it, then look at it as a user would; its own exit status."""
    sweep = [_PYTHON, "-m", "sweep.cli"]
    log = folder.with_suffix(".txt")
    run = [*sweep, "run", study.file, "--profile", asked.profile, "--output", str(folder)]
    status = _logged(run, log, asked.seconds or study.seconds)
    _logged([*sweep, "status", str(folder)], log, 60)
    if status in study.expected:
        # Filters each trial's log ratios again, here on a CPU, and compares with what the loss logged on the GPU.
        _logged([*sweep, "replay", str(folder), "--grid", "4x4"], log, 120)
        _logged([*sweep, "export", str(folder), "--format", "csv"], log, 60)
    else:
        for slot in sorted(folder.glob("slots/*/slot.log")):
            print(
                f"==== last lines of {slot}",
                *slot.read_text(errors="replace", encoding="utf-8").splitlines()[-60:],
                sep="\n",
            )
    with tarfile.open(folder.with_suffix(".tar.gz"), "w:gz") as packed:
        if folder.exists():
            packed.add(folder, arcname=folder.name)
    return status


def _logged(command: Sequence[str], log: Path, seconds: int) -> int | None:
    """Run a command, its output shown and appended to a file; its exit status, or None if its time ran out."""
    print("$", *command, flush=True)
    # What is imported must be this checkout, also where nothing is installed.
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    late = threading.Event()
    with log.open("a", encoding="utf-8") as file:
        try:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            print(error, flush=True)
            return 127

        def end() -> None:
            late.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
                time.sleep(20)
                os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        for line in process.stdout or ():
            print(line, end="", flush=True)
            file.write(line)
        process.wait()
        timer.cancel()
    return None if late.is_set() else process.returncode


if __name__ == "__main__":
    sys.exit(main())
