"""Removes what a command's Ray leaves behind once the command has ended, however it ended.

Nobody else could after a ``kill -9``. Started as ``python -I -S reaper.py FOLDER``, beside the command and with the
standard library alone; the command holds the other end of its standard input, which the kernel closes with it. What
belongs to the command are the processes whose ``TMPDIR`` is the folder's ``tmp``: Ray's, verl's and vLLM's, and nobody
else's, since the folder is made for one command.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

# Ray's processes end with the command, its workers with them; one that was being started may wait a minute for them.
_PATIENCE_SECONDS = 8.0
_POLL_SECONDS = 0.1


def main(folder: Path) -> None:
    """Wait for the command's end, end what is left of its processes, and remove the folder."""
    sys.stdin.buffer.read()
    variable = f"TMPDIR={folder / 'tmp'}".encode()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left := _processes(variable):
        if time.monotonic() > deadline:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def _processes(variable: bytes) -> list[int]:
    """Numbers of the living processes that have a variable in their environment."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal() and _has(entry, variable)]


def _has(process: str, variable: bytes) -> bool:
    with contextlib.suppress(OSError):
        # Empty for a process that has ended and that its parent has not asked after.
        return variable in Path("/proc", process, "environ").read_bytes().split(b"\0")
    return False


if __name__ == "__main__":
    main(Path(sys.argv[1]))
