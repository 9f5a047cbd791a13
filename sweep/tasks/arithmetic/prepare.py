"""Make the task's files once and keep them: model, tokenizer, training and held-out problems, and a note of head-room.

The cache is keyed by the content of everything that decides the result. A folder that bears its key's name is complete:
it is filled under another name, beside a lock that the kernel frees when its owner dies, and renamed at the end.
"""

import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sweep.tasks.arithmetic import problems, reward, series
from sweep.tasks.arithmetic.recipe import Progress, Recipe

# Named, not imported: most of them need torch.
_DECIDING_MODULES = (
    "make",
    "model",
    "parquet",
    "prepare",
    "problems",
    "recipe",
    "reward",
    "sample",
    "series",
    "teach",
    "threads",
    "tokenizer",
)


@dataclass(frozen=True)
class PreparedTask:
    """The files of a task that is ready to be trained on."""

    model_dir: Path
    """Weights, configuration and tokenizer, as ``from_pretrained`` reads them."""
    train_parquet: Path
    eval_parquets: dict[str, Path]
    """Benchmark name (the rows' ``data_source``) -> file."""
    reward_file: Path
    """For ``reward.custom_reward_function.path``; the function is ``compute_score``."""
    summary_file: Path

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What is known of the taught model: parameters, loss, held-out accuracy, lengths, how it was made."""
        known: dict[str, Any] = json.loads(self.summary_file.read_text(encoding="utf-8"))
        return known

    @property
    def accuracy_note(self) -> str:
        """One line for the user: how good the model is before RL."""
        known = self.summary
        made = f"{known['parameters'] / 1e6:.1f} M parameters, taught for {known['steps']} steps"
        if known["samples"]:
            solved = f"{known['accuracy']:.0%} of {known['samples']} held-out problems right at temperature 1"
        else:
            solved = f"by its own probabilities it gives {known['reproduced']:.0%} of new lessons back"
        return f"{made}; {solved} before RL"


def prepare(
    *,
    cache: Path,
    seed: int = 0,
    progress: Progress | None = None,
    recipe: Recipe | None = None,
) -> PreparedTask:
    """Return the task's files, teaching the model first unless the cache has it (about two minutes of one core).

    Args:
        cache: Folder to keep results in; may be shared by processes, the second waits for the first.
        seed: Of the model's initialisation, its teaching and the RL prompts. The held-out problems do not depend on it.
        progress: See `sweep.tasks.arithmetic.recipe.Progress`; not called when the cache has the result.
        recipe: How to teach; the default is the one whose head-room is known.
    """
    recipe = recipe or Recipe()
    benchmark = problems.DATA_SOURCE if recipe.series == 1 else series.DATA_SOURCE
    folder = cache.resolve() / f"arithmetic-{_fingerprint(recipe, seed)}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock")):
            if not folder.exists():
                partial = folder.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
                partial.mkdir()
                _make_elsewhere(partial, recipe, seed, progress)
                partial.rename(folder)
    return PreparedTask(
        model_dir=folder / "model",
        train_parquet=folder / "train.parquet",
        eval_parquets={benchmark: folder / "held_out.parquet"},
        reward_file=Path(reward.__file__).resolve(),
        summary_file=folder / "summary.json",
    )


def _fingerprint(recipe: Recipe, seed: int) -> str:
    """Hash of sources, recipe, seed, versions and machine type: another one may mean other weights."""
    sources = [Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8") for name in _DECIDING_MODULES]
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "tokenizers")}
    content = [sources, recipe.model_dump(), seed, versions, platform.machine()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for other processes that make the same, and keep them waiting."""
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_elsewhere(folder: Path, recipe: Recipe, seed: int, progress: Progress | None) -> None:
    """Run `sweep.tasks.arithmetic.make` in a process of its own."""
    asked = {"folder": str(folder), "recipe": recipe.model_dump(), "seed": seed}
    # What torch leaves in the temporary folder goes with it.
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        maker = subprocess.Popen(
            [sys.executable, "-P", "-m", "sweep.tasks.arithmetic.make"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "TMPDIR": temporary},
            text=True,
            bufsize=1,
        )
        assert maker.stdin is not None
        assert maker.stdout is not None
        with maker:
            try:
                maker.stdin.write(json.dumps(asked) + "\n")
                for line in maker.stdout:
                    if progress is not None:
                        progress(*json.loads(line))
                    maker.stdin.write("\n")
            except BrokenPipeError:
                pass  # it has ended; why, it says below
            except BaseException:
                maker.kill()
                raise
        if maker.returncode:
            errors.seek(0)
            raise RuntimeError(f"the base model could not be made:\n{errors.read()[-4000:]}")
