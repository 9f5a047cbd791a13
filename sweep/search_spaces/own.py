"""A search space in a user's own file.

A study names the file and the class in it; the file's name is taken from the study file's folder, unless absolute:

.. code-block:: yaml

    space:
      kind: my_space.py:Diagonal
      gains: [1e-3, 1e-2]

and ``my_space.py`` beside the study holds

.. code-block:: python

    from sweep.search_spaces import Arm, ArmDefaults, SearchSpace


    class Diagonal(SearchSpace):
        '''Gain and threshold rise together.'''

        gains: list[float]

        def size(self) -> int:
            return len(self.gains)

        def to_arms(self, *, defaults: ArmDefaults) -> list[Arm]:
            return [Arm(name=f"gain{gain:g}", q=gain**2, v=1 - gain, kappa=10 * gain) for gain in self.gains]

The class's fields are the keys that ``space:`` may have; pydantic checks them, and wrong ones are reported with file
and line like any other. A space that depends on more than its keys can have `problems`, and `location` to point
messages at a key; `sweep/search_spaces/decoupled.py` and ``arm_list.py`` show all that there is.

Reading such a study, with ``plan`` too, runs the file's Python code as you. That is why only a file on this machine can
be named: read it before you use a study that somebody else wrote.
"""

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from sweep.input.errors import did_you_mean
from sweep.search_spaces.base import Registry, SearchSpace

# By what was in the file: a copy of it beside a study's results gives the same class, so that studies stay equal.
_modules: dict[str, ModuleType] = {}


def is_own(kind: Any) -> bool:
    """Whether a ``kind`` names a class in a file.

    >>> is_own("spaces/mine.py:Mine"), is_own("grid")
    (True, False)
    """
    return isinstance(kind, str) and ".py:" in kind


def own_file(kind: str, *, folder: Path | None) -> Path:
    """The file that a ``kind`` names; where there is none, one of its bare name in the folder: a copy kept there."""
    folder = folder or Path.cwd()
    path = (folder / kind.rpartition(":")[0]).expanduser().resolve()
    copy = (folder / path.name).resolve()
    return copy if not path.exists() and copy.exists() else path


def own_files(*, space: SearchSpace, folder: Path) -> list[Path]:
    """What has to be kept beside a study file, under its bare name, so that the copy can be read as the study was."""
    classes = [own_file(space.kind, folder=folder)] if is_own(space.kind) else []
    return [*classes, *space.files(folder=folder)]


def space_of_kind(kind: Any, *, folder: Path | None = None) -> type[SearchSpace]:
    """The search space that a study's ``kind`` names.

    Args:
        kind: A registered kind, or ``FILE.py:CLASS``, a class in a user's own file.
        folder: Where a file's name begins; by default the current folder.

    Raises:
        ValueError: There is none; the message names the nearest.
    """
    return own_space(kind, folder=folder) if is_own(kind) else Registry.get(kind)


def own_space(kind: str, *, folder: Path | None) -> type[SearchSpace]:
    """Load the class that a ``kind`` names.

    Args:
        kind: ``FILE.py:CLASS``.
        folder: Where a relative file name begins; None for the current folder.

    Raises:
        ValueError: No such file or class, the file cannot be run, or the class is not a search space.
    """
    path, name = own_file(kind, folder=folder), kind.rpartition(":")[2]
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    module = _module(path, source)
    spaces = [
        found
        for found, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, SearchSpace) and value.__module__ == module.__name__
    ]
    if not spaces:
        raise ValueError(f"{path.name} holds no class that is a SearchSpace")
    if name not in spaces:
        raise ValueError(f"{path.name} holds no search space {name!r}{did_you_mean(name, spaces)}")
    space: type[SearchSpace] = getattr(module, name)
    if missing := sorted(getattr(space, "__abstractmethods__", ())) or _not_written(space):
        raise ValueError(f"{name} in {path.name} lacks {' and '.join(missing)}")
    return space


def _not_written(space: type[SearchSpace]) -> list[str]:
    return [method for method in ("size", "to_arms") if getattr(space, method) is getattr(SearchSpace, method)]


def _module(path: Path, source: bytes) -> ModuleType:
    key = hashlib.sha256(source).hexdigest()
    if key in _modules:
        return _modules[key]
    name = f"iskpo_own_space_{key[:16]}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ValueError(f"{path.name}{_line(error, path)} cannot be run: {type(error).__name__}: {error}") from None
    _modules[key] = module
    return module


def _line(error: BaseException, path: Path) -> str:
    """``:12``, the last line of the user's file on the way to the error."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}" if error.lineno else ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f":{lines[-1]}" if lines else ""
