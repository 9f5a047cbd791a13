"""The folder for Ray's own files, which is gone after the study, or before the next one where a kill came first."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock

_PREFIX, _LOCK = "iskpo-ray-", "owner.lock"


@contextlib.contextmanager
def ray_folder() -> Iterator[Path]:
    """Make a folder, and remove it at the end.

    It goes under the system's temporary folder: Unix sockets have a length limit of about 100 characters, so Ray's
    files cannot go under the output folder.
    """
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # The kernel lets go of a lock when its process ends, however it ends.
    lock = filelock.FileLock(folder / _LOCK)
    try:
        with lock:
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned() -> None:
    """Remove the folders of commands that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Without a lock it is being made, or another user's, or of a version that had none.
        with contextlib.suppress(OSError, filelock.Timeout):
            if (folder / _LOCK).is_file():
                with filelock.FileLock(folder / _LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
