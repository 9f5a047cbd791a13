"""A study that its machine cuts off ends with one line that says why; `resume` then goes on.

*Ray.* When one of Ray's own processes dies, also while Ray starts, the study ends at once, as by a plain kill. Left to
itself, Ray ends this program some 15 seconds (its raylet) or a minute (its GCS) later, in the middle of whatever it
does and without a word that a user could act on.

*Storage.* MLflow waits 20 seconds for another process that holds its file, and Optuna 60. After that, and at once where
the disk is full, each raises something of its own, and Ray Tune passes on its text alone. Nothing is lost: a trial
counts once MLflow has its end, and Optuna is told after that.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from sweep.input.errors import EXIT_INTERRUPTED, StudyCutOff, UserError, in_shell
from sweep.store.study_folder import AT_ONCE

WATCHED = {"raylet": "Ray's raylet", "gcs_server": "Ray's GCS"}
"""Ray's name of a process of its own, and ours."""
_SECONDS = 0.5
# A call to a GCS that is gone cannot be interrupted.
_PATIENCE_SECONDS = 10.0


@contextlib.contextmanager
def ended_with_ray(*, output: Path) -> Iterator[dict[psutil.Process, str]]:
    """Watch the raylet and the GCS that this process starts; to be entered before ``ray.init``.

    `AT_ONCE` must raise KeyboardInterrupt, as it does in every command that runs a study.

    Yields:
        Processes to watch and their names (`WATCHED`); the body fills it, and empties it before it ends them itself.

    Raises:
        StudyCutOff: One of them died while the body ran.
    """
    watched, over, dead = dict[psutil.Process, str](), threading.Event(), list[str]()

    def look() -> None:
        while not over.wait(_SECONDS):
            # What has been taken out meanwhile was ended on purpose.
            if gone := [name for process, name in list(watched.items()) if not _alive(process) and process in watched]:
                dead.append(
                    f"{WATCHED[gone[0]]} has died, and with it every trial that ran (was memory short?). "
                    f"Finished trials are recorded. Go on: iskpo-sweep resume {in_shell(output)}"
                )
                # Not SIGINT, which a job in a script's background ignores.
                signal.pthread_kill(threading.main_thread().ident or 0, AT_ONCE)
                if not over.wait(_PATIENCE_SECONDS):
                    # As the main thread would end if it were not stuck in Ray; MLflow's runs are left for `resume`,
                    # and Ray's processes for `sweep.engine.reaper`.
                    print(f"error: {dead[0]}", file=sys.stderr, flush=True)
                    os._exit(EXIT_INTERRUPTED)
                return

    threading.Thread(target=look, name="ray-alive", daemon=True).start()
    try:
        yield watched
    except (KeyboardInterrupt, SystemExit):
        # SystemExit: while Ray starts, the handler of SIGTERM is Ray's own for a moment.
        if dead:
            raise StudyCutOff(dead[0]) from None
        raise
    finally:
        over.set()


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


_REASONS = {
    "database is locked": "another process has kept {output}'s mlflow.db or optuna.db locked: end it",
    "database or disk is full": "the disk of {output} is full: make room",
    "No space left on device": "a disk is full, that of {output} or of the temp folder: make room",
    "Disk quota exceeded": "the disk quota of {output} is used up: make room",
    "disk I/O error": "the disk of {output} cannot be written to (full, read-only or gone): mend it",
    "attempt to write a readonly database": "{output}'s mlflow.db or optuna.db has become read-only: change that",
}


@contextlib.contextmanager
def said_clearly(output: Path) -> Iterator[None]:
    """Turn what a full disk or a locked file raises inside into one line.

    Raises:
        StudyCutOff: One of them.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not (reason := _reason(error)):
            raise
        raise StudyCutOff(
            f"{reason.format(output=output)}, and go on with `iskpo-sweep resume {in_shell(output)}`; "
            "what had finished is recorded"
        ) from None


def _reason(error: BaseException | None) -> str:
    """The reason for an error, or for one that it came from or that it interrupted; "" where it is another."""
    while error is not None:
        for text, reason in _REASONS.items():
            if text in str(error):
                return reason
        error = error.__cause__ or error.__context__
    return ""
