"""The plan of the house holds: imports point downward, no circles, few files beside the packages, rooms that say so."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("iskpo", "sweep", "reports")
# mine.yaml is a file that the reader would write.
PATH = re.compile(
    r"(?<![\w/.])((?:iskpo|sweep|reports|tests|benchmarks|docs|studies)/(?!profiles/mine)[\w/.-]+\.(?:py|md|yaml))(?!\w)"
)
# Tags of MLflow runs begin with our name, too.
DOTTED = re.compile(r"`((?!iskpo\.(?:kind|commit)`)(?:iskpo|sweep|reports)(?:\.\w+)+)`")
LINTER = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the pyproject.toml in a folder against the packages there."""
    return subprocess.run(
        [LINTER, "--no-cache", "--no-logo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and their contracts, to plant something in."""
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def test_the_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "planted", "broken"),
    [
        ("sweep/input/errors.py", "\n\ndef _lazy():\n    from sweep.store import study_folder\n", "rooms of sweep"),
        (
            "iskpo/closed_form.py",
            "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sweep.arms.arm import Arm\n",
            "reports > sweep > iskpo; commands alone may reach reports",
        ),
        ("reports/statistics/logistic.py", "\nimport reports.analysis.arms\n", "rooms of reports"),
        ("iskpo/reference/reference_filter.py", "\nimport iskpo.filter\n", "rooms of iskpo"),
        (
            "sweep/engine/study_run.py",
            "\nfrom reports import document\n",
            "reports > sweep > iskpo; commands alone may reach reports",
        ),
        (
            "sweep/study/registered.py",
            "\nimport sweep.study.plan\nimport sweep.study.study\n",
            "no circle between files or rooms",
        ),
    ],
    ids=["lazy", "type-only", "reports", "iskpo", "only commands reach reports", "circle"],
)
def test_a_planted_import_breaks_its_contract(copy: Path, file: str, planted: str, broken: str) -> None:
    with (copy / file).open("a") as source:
        source.write(planted)
    done = lint(copy)
    assert done.returncode == 1
    assert f"{broken} BROKEN" in done.stdout


@pytest.mark.parametrize(("part", "most"), [("sweep", 3), ("iskpo", 13)])
def test_next_to_nothing_stands_beside_the_packages(part: str, most: int) -> None:
    assert len(list((ROOT / part).glob("*.py"))) <= most


@pytest.mark.parametrize(
    "package",
    sorted(path.parent.relative_to(ROOT) for part in PARTS for path in (ROOT / part).rglob("__init__.py")),
    ids=str,
)
def test_every_package_says_what_lives_there_and_what_it_imports(package: Path) -> None:
    text = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text())) or ""
    what, _, imports = text.partition("\n\n")
    assert what
    assert imports.startswith("Imports ")


def named(pattern: re.Pattern[str]) -> set[tuple[str, str]]:
    """Everything of ours that a document or a docstring names, with the file in which it stands."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    files = [name for name in listed if name.endswith((".md", ".py", ".yaml")) and not name.startswith("tests/")]
    return {
        (name, found)
        for name in files
        if (ROOT / name).exists()
        for found in pattern.findall((ROOT / name).read_text())
    }


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module of ours, or a name that stands at the top of one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.is_file():
            return length == len(parts) or parts[length] in file.read_text()
    return False


def test_every_file_that_is_named_somewhere_exists() -> None:
    assert not {(where, path) for where, path in named(PATH) if not (ROOT / path).exists()}


def test_every_module_that_is_named_somewhere_exists() -> None:
    assert not {(where, dotted) for where, dotted in named(DOTTED) if not exists(dotted)}


GONE = """\
# mypy: enable-error-code="explicit-override"
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.workers.engine_workers import ActorRolloutRefWorker
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
from typing_extensions import override

class Trainer(PPOTrainerSync):
    @override
    def _taken_away(self) -> None: ...
    def _validate(self) -> dict[str, float]: ...

class Worker(ActorRolloutRefWorker):
    @override
    def _taken_away(self) -> None: ...

class AgentLoop(AgentLoopWorkerTQ):
    @override
    def _taken_away(self) -> None: ...
"""


def test_a_method_that_verl_has_taken_away_is_a_type_error(tmp_path: Path) -> None:
    # Would pass in silence if verl came without types, or the classes were anything to mypy.
    (tmp_path / "gone.py").write_text(GONE)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", tmp_path / "gone.py"],
        cwd=ROOT,  # for the cache of the last whole run: verl and torch take minutes
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count('"_taken_away" is marked as an override') == 3, done.stdout
    assert done.stdout.count('"_validate" is not using @override') == 1, done.stdout


@pytest.mark.parametrize(
    ("module", "found"), [("sqlalchemy", "DEP003"), ("hypothesis", "DEP004"), ("nowhere", "DEP001")]
)
def test_an_import_that_is_no_dependency_is_found(copy: Path, module: str, found: str) -> None:
    text = (copy / "pyproject.toml").read_text()
    declared = '    "sqlalchemy>=2,<3",'
    assert declared in text
    (copy / "pyproject.toml").write_text(text.replace(declared, "    #"))
    with (copy / "iskpo" / "closed_form.py").open("a") as source:
        source.write(f"\nimport {module}\n")
    done = subprocess.run([LINTER.with_name("deptry"), *PARTS], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{found} '{module}'" in re.sub("\x1b\\[[0-9;]*m", "", done.stderr), done.stderr
