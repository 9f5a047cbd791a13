"""The examination of this very machine, and of machines that lack something."""

import importlib.metadata
from pathlib import Path

import pytest

from sweep.profiles import doctor_checks as doctor
from sweep.profiles.profile import CheckpointKeys, Profile, load_profile, vllm_build

TINY = load_profile("tiny")
OFFLINE = "HF_HUB_OFFLINE"


def _by_name(findings: list[doctor.Finding]) -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in findings}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, OFFLINE, True)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.skipif(vllm_build() == "cuda", reason="vLLM here is built for CUDA")
def test_this_machine_can_run_the_tiny_profile(tmp_path: Path) -> None:
    findings = _by_name(doctor.examine(profile=TINY, output=tmp_path))
    problems = {name: finding for name, finding in findings.items() if finding.verdict == "problem"}
    assert not problems.keys() - {"memory"}, problems
    assert importlib.metadata.version("verl") in findings["main packages"].found
    assert findings["model hub"].verdict == "note"


def test_a_version_that_differs_from_the_pin_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1.0" if name == "verl" else real(name))
    finding = _by_name(doctor.examine(profile=TINY, output=tmp_path))["package versions"]
    assert finding.verdict == "problem"
    assert "verl is 0.1.0, ==0.9.1 is needed" in finding.found
    assert "bootstrap.py" in finding.advice


def test_a_gpu_profile_without_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "has_gpu", lambda: False)
    cuda = Profile(name="big", summary="s", task="arithmetic", device="cuda")
    monkeypatch.setenv("CC", str(tmp_path / "no-compiler"))
    findings = _by_name(doctor.examine(profile=cuda, output=tmp_path))
    assert (findings["GPU"].verdict, "needs one" in findings["GPU"].advice) == ("problem", True)
    assert (findings["C compiler"].verdict, findings["C compiler"].found) == ("problem", "none")
    assert "C compiler" not in _by_name(doctor.examine(profile=TINY, output=tmp_path))


def test_too_little_disk_and_an_unreachable_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    hungry = TINY.model_copy(update={"minimum_free_gb": 1e9, "minimum_shared_memory_mb": 1e12})
    findings = _by_name(doctor.examine(profile=hungry, output=tmp_path / "not" / "there"))
    for name in ("disk for output", "disk for temporary files", "shared memory", "Ray"):
        assert findings[name].verdict == "problem", name
        assert findings[name].advice


def test_checkpoints_count_for_the_output_folder_alone(tmp_path: Path) -> None:
    saving = TINY.model_copy(update={"checkpoint": CheckpointKeys(every=1), "checkpoint_gb": 1e9})
    findings = _by_name(doctor.examine(profile=saving, output=tmp_path))
    assert findings["disk for output"].verdict == "problem"
    assert "checkpoints take up to 2e+09 GB a slot" in findings["disk for output"].found
    assert findings["disk for temporary files"].verdict == "ok"


def test_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = [doctor.Finding("GPU", "problem", "none", "get one"), doctor.Finding("memory", "ok", "16 GB")]
    doctor.show_findings(findings)
    text = capsys.readouterr().out
    assert "get one" in text
    assert "16 GB" in text
    assert doctor.findings_as_json(findings)[0] == {
        "what": "GPU",
        "verdict": "problem",
        "found": "none",
        "advice": "get one",
    }
