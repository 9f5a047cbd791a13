"""A study's output folder: where its files lie, what it planned, and which one process may write to it."""

import contextlib
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from iskpo.verl.checkpoint import latest_step
from sweep.input.errors import UserError, in_shell

STUDY_FILE = "study.yaml"
PLAN_FILE = "plan.json"
DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"
_LOCK = ".lock"
_OWNER = ".owner.json"
_STOP = ".stop"
_NOTICE = ".notice"
# Ends a command at once, where SIGTERM lets it write checkpoints first.
AT_ONCE = signal.SIGUSR2


@dataclass(frozen=True)
class Owner:
    """The process that runs a study.

    Attributes:
        pid: Its process number.
        host: The machine it runs on.
        since: When it took the folder, ISO 8601, UTC.
    """

    pid: int
    host: str
    since: str

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, where a signal can reach it."""
        return self.host == socket.gethostname()

    def __str__(self) -> str:
        """For a message."""
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextlib.contextmanager
def owned(output: Path) -> Iterator[None]:
    """Be the one process that runs the study in a folder.

    The lock is the operating system's, so it ends with the process, however that ends.

    Raises:
        UserError: Another process runs it.
    """
    lock = filelock.FileLock(output / _LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        refuse_if_owned(output)
        raise UserError(f"{output} was in use a moment ago; try again") from None
    try:
        me = Owner(pid=os.getpid(), host=socket.gethostname(), since=datetime.now(UTC).isoformat(timespec="seconds"))
        (output / _OWNER).write_text(json.dumps(asdict(me)), encoding="utf-8")
        for asked in (_STOP, _NOTICE):
            (output / asked).unlink(missing_ok=True)
        yield
    finally:
        (output / _OWNER).unlink(missing_ok=True)
        lock.release()


def owner(output: Path) -> Owner | None:
    """The process that runs the study in a folder now, or None."""
    if not (output / _LOCK).exists():
        return None
    lock = filelock.FileLock(output / _LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        with contextlib.suppress(OSError, ValueError):
            return Owner(**json.loads((output / _OWNER).read_text(encoding="utf-8")))
        return Owner(pid=0, host="an unknown machine", since="a moment ago")
    lock.release()
    return None


def refuse_if_owned(output: Path) -> None:
    """Raise if a process runs the study in a folder.

    Raises:
        UserError: It does.
    """
    if running := owner(output):
        raise UserError(
            f"{output} is in use by {running}; "
            f"see it with `iskpo-sweep status {in_shell(output)}`, end it with `iskpo-sweep stop {in_shell(output)}`"
        )


def ask_to_stop(output: Path) -> str:
    """Ask whoever runs the study to start no further trial; returns what to tell the user.

    Raises:
        UserError: Nobody runs it.
    """
    running = _require_owner(output)
    (output / _STOP).touch()
    return f"asked {running} to stop after the trials that run now"


def end_now(output: Path) -> str:
    """End the study at once, as Ctrl-C does; returns what to tell the user.

    Raises:
        UserError: Nobody runs it, or it runs on another machine.
    """
    running = _require_owner(output)
    if not running.is_local or not running.pid:
        raise UserError(f"the study is run by {running}: run this there, or leave out --now")
    os.kill(running.pid, AT_ONCE)
    return f"ended {running}"


def _require_owner(output: Path) -> Owner:
    running = owner(output)
    if running is None:
        raise UserError(f"nothing runs in {output}; go on with `iskpo-sweep resume {in_shell(output)}`")
    return running


def asked_to_stop(output: Path) -> bool:
    """Whether no further trial is to start."""
    return (output / _STOP).exists() or notice(output).exists()


def notice(output: Path) -> Path:
    """The file by which the trials that run are told to write a checkpoint after their step and to end."""
    return output / _NOTICE


def tracking_uri(output: Path) -> str:
    """Address of the study's own MLflow store, a SQLite file in its folder."""
    return f"sqlite:///{output.resolve()}/{DATABASE}"


def artifact_folder(output: Path, run_id: str) -> Path:
    """Where the artifacts of a run lie, wherever the folder was moved to.

    MLflow's client would make a copy of each in the temporary folder, and leave it there.
    """
    return output / ARTIFACTS / run_id / "artifacts"


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan in a study's folder, or among its artifacts; empty where there is none that can be read."""
    try:
        plan = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return plan if isinstance(plan, dict) else {}


def planned_trials(folder: Path) -> list[dict[str, Any]]:
    """The trials of a plan; empty where it has none, as where Optuna chooses them."""
    trials = read_plan(folder).get("trials")
    return trials if isinstance(trials, list) else []


def trial_folder(output: Path, key: str) -> Path:
    """Everything of a trial that is not in MLflow."""
    return output / "trials" / key


def new_attempt(output: Path, key: str) -> Path:
    """A new folder for one more attempt at a trial; what an earlier one left stays as it is."""
    number = 1 + len(attempts(output, key))
    folder = trial_folder(output, key) / f"attempt_{number:02d}"
    folder.mkdir(parents=True)
    return folder


def checkpoint_folder(output: Path, key: str) -> Path:
    """The checkpoints of a trial, which all its attempts share."""
    return trial_folder(output, key) / "checkpoints"


def checkpointed_trials(output: Path) -> dict[str, int]:
    """Each trial that has a complete checkpoint, and the step of the newest."""
    steps = {folder.parent.name: latest_step(folder) for folder in sorted((output / "trials").glob("*/checkpoints"))}
    return {trial: step for trial, step in steps.items() if step is not None}


def remove_checkpoints(output: Path, *, of: Callable[[str], bool]) -> None:
    """Remove the checkpoints of the trials whose keys this is true of."""
    for folder in (output / "trials").glob("*/checkpoints"):
        if of(folder.parent.name):
            shutil.rmtree(folder, ignore_errors=True)


def attempts(output: Path, key: str) -> list[Path]:
    """The folders of a trial's attempts, oldest first."""
    return sorted(trial_folder(output, key).glob("attempt_*"))
