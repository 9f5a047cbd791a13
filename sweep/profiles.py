"""Profiles: what differs between a laptop and a GPU machine, as readable YAML in ``sweep/profiles/``."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sweep.errors import UserError
from sweep.nearest import did_you_mean
from sweep.schema_errors import validate
from sweep.yaml_source import load_yaml

AUTO = "auto"
_WITHOUT_GPU = "tiny"
_FOLDER = Path(__file__).with_name("profiles")


class RayResources(BaseModel):
    """What a slot, one verl trainer with its vLLM server, asks of Ray.

    Attributes:
        logical_cpus: CPUs to declare for each slot in a cluster started here; on a laptop more than there are, because
            verl's placement groups ask for more.
        slot_gpus: GPUs of a slot; on a CPU profile a logical one.
        object_store_bytes: Size of Ray's object store in shared memory; null for Ray's own choice.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    logical_cpus: Annotated[int, Field(ge=1)] = 1
    slot_gpus: Annotated[int, Field(ge=1)] = 1
    object_store_bytes: Annotated[int, Field(ge=80_000_000)] | None = None


class CostModel(BaseModel):
    """Sizes that a study's cost is estimated from; see `sweep.cost_estimate`.

    Attributes:
        gpu: Which GPU the figures are of.
        parameters: Of the model.
        teraflops: Peak of the GPU for dense bfloat16, 1e12 operations a second.
        gigabytes_a_second: Peak of its memory.
        response_tokens: Mean length of a response, the least and the most to expect.
        evaluation_problems: Problems of all benchmarks together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu: str
    parameters: Annotated[float, Field(gt=0)]
    teraflops: Annotated[float, Field(gt=0)]
    gigabytes_a_second: Annotated[float, Field(gt=0)]
    response_tokens: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    evaluation_problems: Annotated[int, Field(gt=0)]


class Profile(BaseModel):
    """One way to run: model, task, device, sizes.

    Attributes:
        name: The file's name without its ending.
        summary: One sentence for the first line that a run prints: what is run, and what it is evidence of.
        task: Name of the task that prepares model, data and reward.
        model: The base model: a folder, ``owner/name[@revision]`` of the hub, or ``made-here`` for a small one; null
            where the task makes its own.
        device: ``cpu`` or ``cuda``.
        minimum_free_gb: Disk space to have, in the output folder and in the temp folder, before anything starts.
        minimum_shared_memory_mb: Free space to have in /dev/shm.
        notes: Sizing notes for people.
        cost: What its cost is estimated from; null where there is nothing to go by.
        ray: What a slot asks of Ray.
        environment: Environment variables of every process of a trial.
        verl: Dotted verl keys and their values.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    summary: str
    task: str
    model: str | None = None
    device: Literal["cpu", "cuda"]
    minimum_free_gb: Annotated[float, Field(ge=0)] = 1.0
    minimum_shared_memory_mb: Annotated[float, Field(ge=0)] = 0.0
    notes: str = ""
    cost: CostModel | None = None
    ray: RayResources = RayResources()
    environment: dict[str, Annotated[str, BeforeValidator(str)]] = {}
    verl: dict[str, Any] = {}


def available_profiles() -> list[str]:
    """Names of all profiles, in alphabetical order."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """Read a profile by name.

    Raises:
        UserError: There is no such profile, or its file is wrong.
    """
    known = available_profiles()
    if name not in known:
        raise UserError(f"unknown profile {name!r}{did_you_mean(name, [AUTO, *known])}")
    return validate(Profile, load_yaml(_FOLDER / f"{name}.yaml"))


def resolve_profile(name: str) -> Profile:
    """The profile of a name, or for ``auto`` the one that every machine can run.

    Raises:
        UserError: There is no such profile, or it needs a GPU and there is none.
    """
    profile = load_profile(_WITHOUT_GPU if name == AUTO else name)
    if profile.device == "cuda" and not has_gpu():
        raise UserError(
            f"profile {profile.name!r} needs a GPU and this machine shows none (nvidia-smi, CUDA_VISIBLE_DEVICES)"
        )
    return profile


def describe_choice(*, requested: str, profile: Profile) -> str:
    """The first line of a run: which profile was chosen, why, and what it means."""
    why = ""
    if requested == AUTO and has_gpu():
        why = " (auto; this machine has a GPU, which this profile leaves alone: name a GPU profile to use it)"
    elif requested == AUTO:
        why = " (auto; this machine shows no GPU)"
    return f"Profile {profile.name}{why}: {profile.summary}"


def has_gpu() -> bool:
    """Whether an NVIDIA GPU can be used, found without importing torch, which takes seconds."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    if any(path.name[6:].isdigit() for path in Path("/dev").glob("nvidia*")):
        return True
    if (command := shutil.which("nvidia-smi")) is None:
        return False
    try:
        listed = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout
