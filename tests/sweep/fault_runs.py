"""A fault run: a small study, kill -9 of one of its components at one moment, and what came of it.

The moment is drawn from the whole run, in proportion to the time that passes in an undisturbed one: from the command's
first second to the report. A run's number decides all that is random in it. The command is left to end as it will, and
resumed until it says that the study is complete. What is in MLflow must then be what an undisturbed study leaves.
"""

import contextlib
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from sweep.store.study_folder import tracking_uri
from tests.sweep.running_study import MARK, left_behind, orphaned_files

STUDY = Path(__file__).resolve().parents[2] / "studies" / "smoke.yaml"
STEPS, PROBLEMS, SAMPLES = 2, 500, 2
TRIALS = ("kpo-strong_s0", "low-gain-clipping_s0")
THE_COMMAND = "the command"
COMPONENTS = {
    "slot": "sweep.engine.slot",
    "vLLM's engine": "multiprocessing.spawn|VLLM::EngineCore",
    THE_COMMAND: "iskpo-sweep run",
    "the policy's worker": "ray::WorkerDict",
    "Ray's raylet": "raylet/raylet",
    "the trial runner": "ray::TrialRunner|ray::ResourceTrainable",
    "vLLM's server": "vLLMHttpServer",
    "Ray's GCS": "gcs_server",
    "the agent loop": "ray::SeededAgentLoopWorker|ray::AgentLoopWorkerTQ|ray::agent_loop_worker",
    "TransferQueue's storage": "ray::SimpleStorageUnit|ray::TransferQueueStorageUnit",
    "TransferQueue's controller": "ray::TransferQueueController",
}
"""Component to parts of its command line, separated by |."""
# A line of the command's output, and the seconds from there to the next in an undisturbed run on two idle cores.
PHASES = [
    ("", 12),
    ("starting verl and vLLM", 65),
    ("kpo-strong_s0: evaluating", 6),
    ("kpo-strong_s0: step 0/", 3),
    ("kpo-strong_s0: step 1/", 8),
    ("kpo-strong_s0: finished", 1),
    ("low-gain-clipping_s0: ready", 2),
    ("low-gain-clipping_s0: step 1/", 2),
    ("low-gain-clipping_s0: evaluating", 5),
    # The report. It takes ten seconds; a moment drawn late in them would often come after the end.
    ("low-gain-clipping_s0: finished", 3),
]
# Of the last phase: how long there is more than the command.
_CLOSING_SECONDS = 2
# In a line that says that something has died or ended, and what happens next.
_NOTICES = ("attempt failed, to be tried again:", "FAILED:", "error:")
_LONGEST_SECONDS = 1500
NOTICED_WITHIN = 60
"""Seconds within which a death is noticed, whatever dies and whenever."""


@dataclass(frozen=True)
class Moment:
    """So many seconds after a line of the command's output, by the clock of `PHASES`; "" is its start."""

    line: str
    delay: float

    def __str__(self) -> str:
        """For a table."""
        return f"{self.line or 'the start'} + {self.delay:.1f} s"


@dataclass
class FaultRun:
    """What came of a fault run.

    Attributes:
        number: The run's number.
        component: What was killed.
        moment: When it was to be killed; what does not exist then is killed as soon as it does.
        killed: Seconds from the command's start to the kill; None where there was nothing to kill any more.
        noticed: Seconds from the kill to the line that says so, or to the end of the command.
        said: That line; "" where the command ended without one.
        codes: Exit codes, of the command and of each `resume`.
        lost: What an undisturbed study has and this one has not.
        doubled: What there is twice, or was run again though it had finished.
        left: What was left behind after the end of a command: processes, shared memory, sockets, temporary files.
        seconds: Length of the whole.
    """

    number: int
    component: str
    moment: str
    killed: float | None = None
    noticed: float | None = None
    said: str = ""
    codes: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def problems(self) -> list[str]:
        """What is wrong: a death not noticed in time, or a study that is not what an undisturbed one is."""
        found = [f"lost: {one}" for one in self.lost] + [f"doubled: {one}" for one in self.doubled]
        found += [f"left behind: {one}" for one in self.left]
        if self.killed is None:
            found.append("nothing was killed")
        if self.noticed is None or self.noticed >= NOTICED_WITHIN:
            found.append(f"noticed after {self.noticed} s")
        if self.codes[-1] != 0:
            found.append(f"exit codes {self.codes}")
        return found


def component_of(number: int) -> str:
    """The component that a run kills: all of them, one after another."""
    return list(COMPONENTS)[number % len(COMPONENTS)]


def moment_of(number: int, *, component: str) -> Moment:
    """The moment at which a run kills, drawn from all those at which the component can live."""
    phases = PHASES if component == THE_COMMAND else [*PHASES[:-1], (PHASES[-1][0], _CLOSING_SECONDS)]
    drawn = random.Random(number).uniform(0, sum(seconds for _, seconds in phases))
    moment = Moment("", drawn)
    for line, seconds in phases:
        if drawn >= 0:
            moment = Moment(line, drawn)
        drawn -= seconds
    return moment


def run_with_fault(
    *,
    number: int,
    component: str,
    moment: Moment,
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    current: Path | None = None,
) -> FaultRun:
    """Run the study in a folder, kill, resume to its end, and look at what is there.

    Args:
        number: The run's number; it is only noted.
        component: A name from `COMPONENTS`.
        moment: When to kill.
        folder: For the study and the output of the commands; it must not exist.
        environment: Of the commands; their mark and folder for temporary files come on top.
        current: The commands' current folder.
    """
    record, began = FaultRun(number, component, str(moment)), time.monotonic()
    output = folder / "output"
    folder.mkdir(parents=True)
    place = _Place(folder, {**environment}, current)
    _run(["run", STUDY, "--output", output], place=place, record=record, fault=(component, moment))
    before = {str(run.info.run_name): run for run in _runs(output)}
    while record.codes[-1] != 0 and len(record.codes) < 4:
        # Where it ended before it had begun, there is nothing to go on with.
        begun = (output / "mlflow.db").exists() and before
        if not begun:
            shutil.rmtree(output, ignore_errors=True)
        again = ["resume", output] if begun else ["run", STUDY, "--output", output]
        _run(again, place=place, record=record)
    _compare(record, before=before, output=output)
    record.seconds = round(time.monotonic() - began, 1)
    return record


@dataclass(frozen=True)
class _Place:
    folder: Path
    environment: dict[str, str]
    current: Path | None


def _run(arguments: list[object], *, place: _Place, record: FaultRun, fault: tuple[str, Moment] | None = None) -> None:
    """Run a command to its end, and note how it ended and what it left behind."""
    program = str(Path(sys.executable).with_name("iskpo-sweep"))
    mark = place.environment.get(MARK) or uuid.uuid4().hex
    log = place.folder / f"command_{len(record.codes)}.log"
    shared = orphaned_files()
    # Not the study's: the path of a Unix socket in it would be too long.
    temporary = Path(tempfile.mkdtemp(prefix="fr-"))
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [program, *map(str, arguments)],
            cwd=place.current,
            env={**place.environment, MARK: mark, "TMPDIR": str(temporary)},
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        if fault is not None:
            _kill_and_listen(process, log=log, record=record, component=fault[0], moment=fault[1])
        record.codes.append(process.wait(timeout=_LONGEST_SECONDS))
        record.left += left_behind(mark, patience=30)
        # A folder is the last that goes.
        deadline = time.monotonic() + 5
        while any(temporary.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.1)
        record.left += [str(path) for path in temporary.iterdir()]
        record.left += sorted(orphaned_files() - shared)
    finally:
        process.kill()
        shutil.rmtree(temporary, ignore_errors=True)


def _kill_and_listen(
    process: "subprocess.Popen[bytes]", *, log: Path, record: FaultRun, component: str, moment: Moment
) -> None:
    """Wait for the moment, kill the component as soon as there is one, and wait for the word about it."""
    began, command = time.monotonic(), psutil.Process(process.pid)
    deadline = began + _LONGEST_SECONDS
    while process.poll() is None and moment.line not in _text(log):
        time.sleep(0.05)
    time.sleep(moment.delay * _pace(moment, seconds=time.monotonic() - began))
    while process.poll() is None and (found := _component(command, COMPONENTS[component])) is None:
        time.sleep(0.05)
    if process.poll() is not None or found is None:
        return
    said_before = len(_text(log).splitlines())
    with contextlib.suppress(psutil.NoSuchProcess):
        found.kill()
    killed = time.monotonic()
    record.killed = round(killed - began, 1)
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        lines = [line for line in _text(log).splitlines()[said_before:] if any(part in line for part in _NOTICES)]
        if lines or ended:
            record.noticed, record.said = round(time.monotonic() - killed, 1), (lines or [""])[0][:300]
            return
        time.sleep(0.05)


def _pace(moment: Moment, *, seconds: float) -> float:
    """How much slower than `PHASES` the run has been that took so long to the moment's line: machines differ."""
    planned = sum(length for _, length in PHASES[: [line for line, _ in PHASES].index(moment.line)])
    return seconds / planned if planned else 1.0


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def _component(command: psutil.Process, parts: str) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in [command, *command.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                line = " ".join(process.cmdline())
                if any(part in line for part in parts.split("|")) and process.status() != psutil.STATUS_ZOMBIE:
                    return process
    return None


def _runs(output: Path) -> list[Run]:
    if not (output / "mlflow.db").exists():
        return []
    client = MlflowClient(tracking_uri=tracking_uri(output))
    experiment = client.get_experiment_by_name("smoke")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def _compare(record: FaultRun, *, before: dict[str, Run], output: Path) -> None:
    """Exactly the planned trials, each finished, with every metric at every step once, and every sample."""
    runs = _runs(output)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    names = [str(run.info.run_name) for run in runs]
    record.lost += [f"the run of {name}" for name in ("smoke", *TRIALS) if name not in names]
    record.doubled += [f"runs of {name}" for name in set(names) if names.count(name) > 1]
    record.lost += [
        f"{name} is {run.info.status}" for name, run in zip(names, runs, strict=True) if run.info.status != "FINISHED"
    ]
    for name, run in zip(names, runs, strict=True):
        earlier = before.get(name)
        if earlier is not None and earlier.info.run_id != run.info.run_id:
            record.doubled.append(f"{name} has another run than before")
        if name not in TRIALS:
            continue
        if earlier is not None and earlier.info.status == "FINISHED" and run.info.end_time != earlier.info.end_time:
            record.doubled.append(f"{name} had finished and was run again")
        for metric in ("kalman/gain_mean", "kalman/clip_fraction", "innovation/max_abs", "reward/mean"):
            history = client.get_metric_history(run.info.run_id, metric)
            steps = [point.step for point in history if math.isfinite(point.value)]
            record.lost += [f"{name}: {metric} at step {step}" for step in range(1, STEPS + 1) if step not in steps]
            record.doubled += [f"{name}: {metric} at step {step}" for step in set(steps) if steps.count(step) > 1]
        try:
            # By default MLflow's copy stays in the temp folder, and would count as left behind.
            with tempfile.TemporaryDirectory() as copies:
                path = client.download_artifacts(run.info.run_id, f"samples/step_{STEPS:04d}.parquet", copies)
                table = pd.read_parquet(path)
        except Exception as error:
            record.lost.append(f"{name}: samples: {error}")
            continue
        if (len(table), table["problem_id"].nunique()) != (PROBLEMS * SAMPLES, PROBLEMS):
            record.lost.append(f"{name}: {len(table)} samples of {table['problem_id'].nunique()} problems")
        if not math.isclose(run.data.metrics[f"eval/arithmetic/avg_at_{SAMPLES}"], table["correct"].mean()):
            record.lost.append(f"{name}: its accuracy is not that of its samples")
    if not (output / "report" / "report.pdf").exists():
        record.lost.append("the report")
