"""The decisions of bootstrap.py, on real files and real interpreters; nothing is installed, no network is used."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def bootstrap():
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def executable(path: Path, script: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


# ---- pip's settings


def test_pip_config_environment_beats_install_beats_global(bootstrap):
    text = (
        ":env:.find-links='/env'\n"
        "global.find-links='/global'\n"
        "global.timeout='7'\n"
        "install.timeout='9'\n"
        "global.extra-index-url='\\nfile:///one\\nfile:///two'\n"
    )
    assert bootstrap.parse_pip_config(text) == {
        "find-links": "/env",
        "timeout": "9",
        "extra-index-url": "\nfile:///one\nfile:///two",
    }


def test_pip_config_as_pip_prints_it(bootstrap, tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nfind-links =\n    /a b\n    /c\nindex-url = file:///index\n[install]\ntimeout = 30\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")} | {"PIP_CONFIG_FILE": str(config)}
    command = [sys.executable, "-m", "pip", "config", "list"]
    printed = subprocess.run(command, env=env | {"PIP_TIMEOUT": "40"}, capture_output=True, text=True, check=True)
    found = bootstrap.parse_pip_config(printed.stdout)
    assert found["find-links"].split("\n") == ["", "/a b", "/c"]
    assert found["index-url"] == "file:///index"
    assert found["timeout"] == "40"


def test_uv_takes_over_what_pip_is_set_to(bootstrap):
    pip = {
        "find-links": "/a\n/b",
        "extra-index-url": "file:///x file:///y",
        "cert": "/ca.pem",
        "default-timeout": "180",
    }
    env = bootstrap.uv_environment(pip, {"HOME": "/h"})
    assert env == {
        "HOME": "/h",
        "UV_FIND_LINKS": "/a,/b",
        "UV_INDEX": "file:///x file:///y",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/ca.pem",
        "UV_HTTP_TIMEOUT": "180",
    }


def test_uv_keeps_what_the_user_set_for_it(bootstrap):
    env = bootstrap.uv_environment({"find-links": "/pip"}, {"UV_FIND_LINKS": "/mine", "PYTHONDONTWRITEBYTECODE": "1"})
    assert env == {"UV_FIND_LINKS": "/mine"}


def test_pips_no_index_becomes_an_argument_of_uv_which_reads_it_from_no_variable(bootstrap):
    for word in ("1", "true", "True", "yes", "on"):
        assert bootstrap.index_arguments({"no-index": word}) == ["--no-index"]
    for word in ("0", "false", "no", "off"):
        assert bootstrap.index_arguments({"no-index": word}) == []
    assert bootstrap.index_arguments({}) == []


def test_pip_prints_no_index_from_the_environment_and_from_its_configuration(bootstrap, tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text("[install]\nno-index = yes\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    for setting in ({"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}, {"PIP_CONFIG_FILE": str(config)}):
        command = [sys.executable, "-m", "pip", "config", "list"]
        printed = subprocess.run(command, env=env | setting, capture_output=True, text=True, check=True)
        assert bootstrap.is_without_index(bootstrap.parse_pip_config(printed.stdout))


def test_find_links_folder_is_named_from_where_the_user_is(bootstrap, tmp_path, monkeypatch):
    (tmp_path / "wheels").mkdir()
    monkeypatch.chdir(tmp_path)
    pip = {"find-links": "wheels absent https://somewhere/links.html"}
    env = bootstrap.uv_environment(pip, {"PIP_FIND_LINKS": pip["find-links"]})
    assert env["PIP_FIND_LINKS"] == f"{tmp_path}/wheels absent https://somewhere/links.html"
    assert env["UV_FIND_LINKS"] == env["PIP_FIND_LINKS"].replace(" ", ",")
    # Where pip has it from its configuration, pip alone decides what a path there means.
    assert "PIP_FIND_LINKS" not in bootstrap.uv_environment(pip, {})


# ---- which torch


def test_torch_wheel_is_found_in_local_folders_only_in_the_pinned_cpu_build(bootstrap, tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    good = folder / f"torch-{bootstrap.TORCH}+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
    escaped = folder / f"torch-{bootstrap.TORCH}%2Bcpu-cp312-cp312-manylinux_2_28_aarch64.whl"
    cuda = folder / f"torch-{bootstrap.TORCH}-cp311-cp311-manylinux_2_28_x86_64.whl"
    other = folder / "torch-1.0.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
    for wheel in (good, escaped, cuda, other):
        wheel.touch()
    for places in (str(folder), f"/absent,file://{folder}", f"https://somewhere/links.html,{folder}"):
        assert set(bootstrap.torch_wheels(places)) == {good, escaped}
    assert bootstrap.torch_wheels("") == []

    wheels = bootstrap.torch_wheels(str(folder))
    assert bootstrap.has_wheel_for(wheels, python=(3, 11), machine="x86_64")
    assert bootstrap.has_wheel_for(wheels, python=(3, 12), machine="aarch64")
    assert not bootstrap.has_wheel_for(wheels, python=(3, 12), machine="x86_64")
    assert not bootstrap.has_wheel_for(wheels, python=(3, 11), machine="aarch64")


def test_torch_is_asked_for_by_its_cpu_build(bootstrap):
    found = bootstrap.torch_arguments(from_find_links=True, system="Linux")
    assert found == [f"torch=={bootstrap.TORCH}+cpu", "--constraint", "requirements/cpu.txt"]
    assert bootstrap.torch_arguments(from_find_links=False, system="Linux") == [*found, "--torch-backend", "cpu"]
    assert "+" not in bootstrap.torch_arguments(from_find_links=False, system="Darwin")[0]


# ---- what else


def test_extras_follow_accelerator_tools_and_the_users_vllm(bootstrap):
    def installed(**kwargs):
        defaults = {"accelerator": "cpu", "dev": False, "vllm": None, "own_vllm": False}
        arguments = bootstrap.project_arguments(**(defaults | kwargs))
        return arguments[1], arguments[2:]

    assert installed()[0] == ".[cpu]"
    assert installed(dev=True)[0] == ".[cpu,dev]"
    assert installed(own_vllm=True)[0] == "."
    assert installed(own_vllm=True, dev=True)[0] == ".[dev]"
    extra, rest = installed(vllm="/tmp/vllm.whl")
    assert extra == "."
    assert rest[-1] == "/tmp/vllm.whl"
    extra, rest = installed(accelerator="gpu", own_vllm=True)
    assert extra == ".[gpu]"
    assert "requirements/gpu.txt" in rest
    assert "--override" not in rest


def test_lock_fixes_every_direct_dependency_and_agrees_with_the_script(bootstrap):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    def name(requirement):
        return re.split(r"[\[<>=!~ ]", requirement)[0].lower().replace("_", "-")

    for accelerator in ("cpu", "gpu"):
        lines = (ROOT / "requirements" / f"{accelerator}.txt").read_text().splitlines()
        pins = dict(line.split("==") for line in lines if not line.startswith("#"))
        wanted = project["dependencies"] + extras[accelerator] + extras["dev"]
        assert {name(requirement) for requirement in wanted} <= pins.keys()
        exact = [requirement for requirement in wanted if "==" in requirement]
        assert [r for r in exact if pins[name(r)] != r.split("==")[1]] == []
        if accelerator == "cpu":
            assert pins["torch"] == bootstrap.TORCH
            assert [pin for pin in pins if pin.startswith(("nvidia", "cuda", "torchvision", "torchaudio"))] == []


# ---- when to do nothing


def test_fingerprint_follows_every_input(bootstrap, tmp_path):
    (tmp_path / "requirements").mkdir()
    for file in ("pyproject.toml", "requirements/cpu.txt", "requirements/overrides.txt"):
        (tmp_path / file).write_text("a")

    def now(**kwargs):
        return bootstrap.fingerprint(**({"root": tmp_path, "accelerator": "cpu", "python": (3, 11)} | kwargs))

    first = now()
    assert now() == first
    assert len({first, now(accelerator="gpu"), now(python=(3, 12))}) == 3
    for file in ("pyproject.toml", "requirements/cpu.txt", "requirements/overrides.txt"):
        (tmp_path / file).write_text("b")
        assert now() != first
        (tmp_path / file).write_text("a")
    assert now() == first


def test_only_a_finished_set_up_of_the_same_inputs_is_current(bootstrap):
    ready = {"state": "ready", "fingerprint": "f", "dev": False, "vllm": None}

    def current(stamp, *, wanted="f", dev=False, vllm=None):
        return bootstrap.is_current(stamp, wanted=wanted, dev=dev, vllm=vllm)

    assert current(ready)
    assert not current({})
    assert not current(ready | {"state": "installing"})
    assert not current(ready, wanted="g")
    assert not current(ready, dev=True)
    assert current(ready | {"dev": True}, dev=True)
    assert current(ready | {"dev": True})
    assert not current(ready, vllm="vllm==1")
    assert current(ready | {"vllm": "vllm==1"}, vllm="vllm==1")
    assert current(ready | {"vllm": "vllm==1"})


# ---- which Python


def test_python_that_fails_or_is_of_another_version_is_passed_over(bootstrap, tmp_path):
    shim = executable(tmp_path / "shim" / "python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    silent = executable(tmp_path / "silent" / "python3.11", "exit 0")
    old = executable(tmp_path / "old" / "python3", "echo 3 9 cpython")
    good = executable(tmp_path / "good" / "python3.11", "echo 3 11 cpython")
    assert bootstrap.choose_python([str(tmp_path / "absent"), shim, silent, old, good]) == good
    with pytest.raises(bootstrap.SetupError, match=r"Python 3\.11 or 3\.12 is needed"):
        bootstrap.choose_python([shim, silent, old])


def test_python_without_venv_is_named(bootstrap, tmp_path):
    bare = executable(tmp_path / "python3.11", 'case "$2" in *ensurepip*) exit 1;; *) echo 3 11 cpython;; esac')
    with pytest.raises(bootstrap.SetupError, match=r"python3\.11 cannot make environments.*python3\.11-venv"):
        bootstrap.choose_python([bare])


def test_this_python_is_tried_first(bootstrap):
    assert bootstrap.python_candidates()[0] == sys.executable
    assert bootstrap.python_version(sys.executable) == sys.version_info[:2]


def test_environment_that_has_lost_its_configuration_is_not_taken_for_one(bootstrap, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    assert bootstrap.venv_version(venv) is None
    (next(venv.glob("lib/python3.*/site-packages")) / "pip.py").touch()
    assert bootstrap.venv_version(venv) == sys.version_info[:2]
    # The link now leads to the Python that the environment was made with, which must not be installed into.
    (venv / "pyvenv.cfg").unlink()
    assert bootstrap.venv_version(venv) is None
    assert bootstrap.venv_version(tmp_path / "absent") is None


# ---- which accelerator


def test_accelerator_is_a_gpu_only_if_nvidia_smi_lists_one_and_a_profile_uses_it(bootstrap, tmp_path, monkeypatch):
    def auto():
        return bootstrap.choose_accelerator("auto", root=tmp_path)

    profiles = tmp_path / "sweep" / "profiles"
    profiles.mkdir(parents=True)
    (profiles / "small.yaml").write_text("name: small\ndevice: cpu\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    executable(tmp_path / "nvidia-smi", "echo 'GPU 0: NVIDIA H200 (UUID: GPU-0)'")
    assert auto() == "cpu"
    (profiles / "large.yaml").write_text("name: large\ndevice: cuda\n")
    assert auto() == "gpu"
    assert bootstrap.choose_accelerator("cpu", root=tmp_path) == "cpu"
    executable(tmp_path / "nvidia-smi", "echo 'No devices were found'")
    assert auto() == "cpu"
    executable(tmp_path / "nvidia-smi", "exit 9")
    assert auto() == "cpu"
    (tmp_path / "nvidia-smi").unlink()
    assert auto() == "cpu"
    assert bootstrap.choose_accelerator("gpu", root=tmp_path) == "gpu"


# ---- the whole script, stopped before it installs anything


@pytest.fixture
def copy(tmp_path):
    """A copy of the script alone, so that it finds no environment beside it."""
    (tmp_path / "bootstrap.py").write_bytes((ROOT / "bootstrap.py").read_bytes())
    return tmp_path


def run(copy, *arguments):
    command = [sys.executable, "bootstrap.py", *arguments]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)


def test_something_else_named_venv_is_left_alone(copy):
    (copy / ".venv").mkdir()
    (copy / ".venv" / "thesis.txt").write_text("mine")
    done = run(copy, "setup")
    assert done.returncode == 2
    assert "is in the way" in done.stderr
    assert (copy / ".venv" / "thesis.txt").read_text() == "mine"


def test_full_disk_is_told_before_anything_is_made(copy):
    script = (copy / "bootstrap.py").read_text()
    (copy / "bootstrap.py").write_text(script.replace('FREE_GB = {"cpu": 6', 'FREE_GB = {"cpu": 10**9'))
    done = run(copy, "setup", "--accelerator", "cpu")
    assert done.returncode == 2
    assert "GB of disk are needed" in done.stderr
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize("arguments", [[], ["fly"], ["setup", "--vlm", "x"], ["study", "--accelerator", "tpu"]])
def test_wrong_command_line_is_refused(copy, arguments):
    assert run(copy, *arguments).returncode == 2
    assert not (copy / ".venv").exists()
