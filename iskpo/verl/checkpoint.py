"""Checkpoints of a trial: when one is written, when it is complete, and which one a trial goes on from.

verl writes the weights, the optimizer, the schedule, the random numbers of every rank and the place in the data. It
writes them where they are read again, and notes the latest in a file beside them, so a kill leaves a folder that looks
whole. So verl writes into ``writing/`` here. What the trial has reported so far is added, and a manifest with the size
of each file and the trial's settings; all of it is brought to the disk, and one rename makes it a checkpoint. Only then
the one before goes.

Imports neither verl nor torch.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

EVENTS = "events.jsonl"
_MANIFEST, _WRITING = "manifest.json", "writing"
# verl reads the step from this name.
_NAME = "global_step_"
# Settings that say where an attempt keeps its files, or where the program is installed, and nothing about the training.
_PLACES = frozenset({"trainer.trace_folder", "trainer.validation_data_dir", "reward.custom_reward_function.path"})


class CutOff(Exception):  # noqa: N818  (it is what happened, and reads so)
    """A trial ended where it can go on, since the command is to end; the message is the step of its checkpoint."""


@dataclass(frozen=True)
class Checkpointing:
    """How one attempt at a trial is checkpointed.

    Attributes:
        folder: Where the trial's checkpoints are; all its attempts share it.
        every: Steps from one to the next; 0 for none.
        notice: A file. Once it is there, the trial writes a checkpoint after its step and ends.
        resumed: The checkpoint that this attempt goes on from, or "".
    """

    folder: str
    every: int
    notice: str
    resumed: str = ""

    @property
    def step(self) -> int:
        """The step of the checkpoint that the attempt goes on from, or 0."""
        return _step(Path(self.resumed)) if self.resumed else 0


@dataclass(frozen=True)
class Manifest:
    """What makes a folder a complete checkpoint.

    Attributes:
        seconds: How long the trial had trained, in all its attempts.
        settings: From `training_settings`.
        files: Size in bytes of every other file, by its path in the folder.
    """

    seconds: float
    settings: dict[str, Any]
    files: dict[str, int]


@dataclass(frozen=True)
class Choice:
    """Which checkpoint a trial goes on from.

    Attributes:
        path: Its folder; None where the trial begins at step 0.
        step: Its step, or 0.
        seconds: How long the trial had trained by then.
        refused: Why each newer one is not used.
    """

    path: Path | None = None
    step: int = 0
    seconds: float = 0.0
    refused: tuple[str, ...] = ()

    @override
    def __str__(self) -> str:
        """One line for people; "" where the trial has no checkpoint at all."""
        begins = [f"goes on from step {self.step}"] if self.path else ["begins at step 0"] if self.refused else []
        return "; ".join([*begins, *self.refused])


def training_settings(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """What decides how a trial trains, as it reads in JSON.

    Args:
        overrides: verl settings of the trial, its seed among them.
    """
    named = {key.removeprefix("+"): value for key, value in overrides.items()}
    settings = {key: value for key, value in named.items() if key not in _PLACES}
    read: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return read


def choose(folder: Path, *, settings: Mapping[str, Any]) -> Choice:
    """The newest checkpoint that is complete and of these settings.

    Args:
        folder: The trial's checkpoints; it need not exist.
        settings: From `training_settings`.
    """
    refused = [f"the checkpoint of step {_step(path)} is half written and not used" for path in _unfinished(folder)]
    for path, manifest in _newest_first(folder):
        if manifest is None:
            refused.append(f"the checkpoint of step {_step(path)} is not complete and not used")
        elif changed := _changed(manifest.settings, settings):
            refused.append(f"the checkpoint of step {_step(path)} is of other settings ({changed}) and not used")
        else:
            return Choice(path, _step(path), manifest.seconds, tuple(refused))
    return Choice(refused=tuple(refused))


def latest_step(folder: Path) -> int | None:
    """Step of the newest complete checkpoint, whatever its settings; None where there is none."""
    return next((_step(path) for path, manifest in _newest_first(folder) if manifest is not None), None)


class CheckpointWriter:
    """Writes the checkpoints of one attempt at a trial.

    Args:
        plan: Where and when.
        settings: From `training_settings`.
    """

    def __init__(self, *, plan: Checkpointing, settings: dict[str, Any]) -> None:
        """Remove what an earlier attempt left half written."""
        self._plan, self._settings = plan, settings
        self.writing = Path(plan.folder) / _WRITING
        shutil.rmtree(self.writing, ignore_errors=True)
        before = _complete(Path(plan.resumed)) if plan.resumed else None
        self._began = time.monotonic() - (before.seconds if before else 0.0)

    @property
    def to_end(self) -> bool:
        """Whether the trial is to end after its step."""
        return self._plan.every > 0 and Path(self._plan.notice).exists()

    def due(self, step: int) -> bool:
        """Whether a checkpoint is to be written after this step."""
        return self.to_end or (self._plan.every > 0 and step % self._plan.every == 0)

    def complete(self, *, step: int, keep: Callable[[Path], None]) -> None:
        """Make a checkpoint of what verl has written into `writing`, and remove those before it.

        Args:
            step: The step that verl wrote after.
            keep: Writes what the trial has reported up to that step to a path.
        """
        written, finished = self.writing / f"{_NAME}{step}", Path(self._plan.folder) / f"{_NAME}{step}"
        keep(written / EVENTS)
        files = sorted(path for path in written.rglob("*") if path.is_file())
        for path in files:
            _to_disk(path)
        manifest = Manifest(
            seconds=time.monotonic() - self._began,
            settings=self._settings,
            files={path.relative_to(written).as_posix(): path.stat().st_size for path in files},
        )
        (written / _MANIFEST).write_text(json.dumps(asdict(manifest)), encoding="utf-8")
        _to_disk(written / _MANIFEST)
        # Of the same step, but of other settings.
        shutil.rmtree(finished, ignore_errors=True)
        written.rename(finished)
        _to_disk(finished.parent)
        for path, _ in _newest_first(finished.parent):
            if path != finished:
                shutil.rmtree(path, ignore_errors=True)


def _step(path: Path) -> int:
    return int(path.name.removeprefix(_NAME))


def _named(folder: Path) -> list[Path]:
    found = [path for path in folder.glob(f"{_NAME}*") if path.name.removeprefix(_NAME).isdigit()]
    return sorted(found, key=_step, reverse=True)


def _unfinished(folder: Path) -> list[Path]:
    return _named(folder / _WRITING)


def _newest_first(folder: Path) -> Iterator[tuple[Path, Manifest | None]]:
    for path in _named(folder):
        yield path, _complete(path)


def _complete(path: Path) -> Manifest | None:
    """The manifest of a checkpoint of which every file is there, in its full size."""
    try:
        manifest = Manifest(**json.loads((path / _MANIFEST).read_text(encoding="utf-8")))
        there = all((path / name).stat().st_size == size for name, size in manifest.files.items())
    except (OSError, ValueError, TypeError):
        return None
    return manifest if there else None


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    missing = object()
    names = sorted(name for name in before.keys() | now.keys() if before.get(name, missing) != now.get(name, missing))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _to_disk(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
