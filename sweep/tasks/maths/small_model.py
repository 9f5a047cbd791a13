r"""A base model for machines that cannot hold a real one: a Qwen3 of a million parameters, made from the training set.

It learns what an answer looks like and nothing of mathematics: its responses are ``\boxed{...}`` around something that
occurs among answers. So now and then one is right, which is all that reinforcement learning needs to have something to
do, and everything behind the model (data, rollouts, grading, evaluation, report) is what a real one goes through.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sweep.input.errors import UserError
from sweep.tasks.arithmetic.prepare import locked

MADE_HERE = "made-here"
"""A profile's ``model`` that stands for this one."""

# What decides the weights; named, not imported, because it needs torch.
_DECIDING = ("teach_form.py", "small_model.py", "../arithmetic/model.py")


def made_model(*, cache: Path, training: Path, content: str) -> Path:
    """Folder of the model, made first unless the cache has it (a minute of one core).

    Args:
        cache: Folder of all prepared tasks.
        training: verl's rows, as `sweep.tasks.maths.data_cache` writes them.
        content: Checksum of their content.

    Raises:
        UserError: It could not be made.
    """
    folder = cache.resolve() / "maths" / f"model-{_fingerprint(content)}"
    if folder.exists():
        return folder
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
            # In a process of its own, so that a study does not carry torch along.
            with tempfile.TemporaryDirectory() as temporary:
                made = subprocess.run(
                    [sys.executable, "-P", "-m", "sweep.tasks.maths.teach_form", str(training), str(partial)],
                    env={**os.environ, "TMPDIR": temporary},
                    capture_output=True,
                    text=True,
                    check=False,
                )
            if made.returncode:
                raise UserError(f"the small model could not be made from {training}:\n{made.stderr[-2000:]}")
            partial.rename(folder)
    return folder


def _fingerprint(content: str) -> str:
    here = Path(__file__).parent
    sources = [(here / name).read_text(encoding="utf-8") for name in _DECIDING]
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "tokenizers")}
    return hashlib.sha256(json.dumps([sources, versions, content, platform.machine()]).encode()).hexdigest()[:16]
