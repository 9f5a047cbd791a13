"""Notice at once that one of Ray's own processes has died, and end the study as a plain kill would.

Left to itself, Ray ends this program some 15 seconds (its raylet) or a minute (its GCS) later, in the middle of
whatever it does and without a word that a user could act on.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from sweep.input.errors import EXIT_INTERRUPTED, StudyCutOff

_OWN = ("raylet", "gcs_server")
_SECONDS = 0.5
# A call to a GCS that is gone cannot be interrupted.
_PATIENCE_SECONDS = 20.0


@contextlib.contextmanager
def ended_with_ray(*, output: Path) -> Iterator[None]:
    """Watch the raylet and the GCS that this process has started; to be entered after ``ray.init``.

    SIGTERM must raise KeyboardInterrupt, as it does in every command that runs a study.

    Args:
        output: The study's folder, named in the message.

    Raises:
        StudyCutOff: One of them died while the body ran.
    """
    watched = {child: name for child in psutil.Process().children() if (name := child.name()) in _OWN}
    over, dead = threading.Event(), list[str]()

    def look() -> None:
        while not over.wait(_SECONDS):
            if gone := [name for process, name in watched.items() if not _alive(process)]:
                dead.append(
                    f"Ray's {gone[0]} has died, and with it every trial that ran (was memory short?). "
                    f"Finished trials are recorded. Go on: iskpo-sweep resume {output}"
                )
                # Not SIGINT, which a job in a script's background ignores.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                if not over.wait(_PATIENCE_SECONDS):
                    _end_everything(dead[0])
                return

    threading.Thread(target=look, name="ray-alive", daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        if dead:
            raise StudyCutOff(dead[0]) from None
        raise
    finally:
        over.set()


def _end_everything(message: str) -> None:
    """What the main thread would do if it were not stuck in Ray, less MLflow, whose runs `resume` takes up."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(EXIT_INTERRUPTED)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
