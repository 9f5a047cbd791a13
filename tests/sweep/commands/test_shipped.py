"""Shipped studies are found by name, in a checkout and from a wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sweep.commands.shipped import shipped_studies, study_path
from sweep.input.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


def test_every_study_of_the_checkout_has_its_name() -> None:
    assert shipped_studies() == {path.stem: path for path in sorted((ROOT / "studies").glob("*.yaml"))}
    assert study_path(Path("qv_kappa")) == ROOT / "studies" / "qv_kappa.yaml"


def test_a_file_of_the_users_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qv_kappa").touch()
    assert study_path(Path("qv_kappa")) == Path("qv_kappa")


@pytest.mark.parametrize("given", ["qv_kappa.yaml", "elsewhere/qv_kappa"])
def test_what_is_no_mere_name_is_a_path(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert study_path(Path(given)) == Path(given)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(UserError, match="'qv_kappa'"):
        study_path(Path("qv_kapa"))


def test_a_wheel_brings_them_along(tmp_path: Path) -> None:
    # As pip does, without a network: what the build needs is in this environment.
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{ROOT}", source], check=True)
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, source]
    subprocess.run(build, check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert {Path(name).stem for name in zipfile.ZipFile(wheel).namelist() if "/studies/" in name} == {
        *shipped_studies()
    }
    target = tmp_path / "installed"
    subprocess.run(
        [*pip, "install", "-q", "--ignore-installed", "--no-deps", "--no-index", "--prefix", target, wheel], check=True
    )
    (packages,) = target.glob("lib/python*/site-packages")
    # Outside the checkout, and without what it is installed as here.
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from sweep.commands import shipped\n"
        "print(shipped.__file__, *shipped.shipped_studies().values(), sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, packages], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    file, *studies = map(Path, done.stdout.splitlines())
    assert file.is_relative_to(packages)
    assert {path.stem for path in studies} == {*shipped_studies()}
    assert all(path.is_relative_to(target.resolve()) and path.is_file() for path in studies)
