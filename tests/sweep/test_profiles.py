import pytest

from sweep import profiles
from sweep.errors import UserError
from sweep.profiles import available_profiles, describe_choice, has_gpu, load_profile, resolve_profile


@pytest.mark.parametrize("name", available_profiles())
def test_every_profile_reads_and_is_called_like_its_file(name):
    profile = load_profile(name)
    assert profile.name == name
    assert profile.summary
    assert not profile.summary.endswith(".")


def test_an_unknown_profile_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"unknown profile 'tyny'; did you mean 'tiny'\?"):
        load_profile("tyny")
    with pytest.raises(UserError, match=r"unknown profile '\.\./profiles/tiny'"):
        load_profile("../profiles/tiny")


def test_hiding_the_gpus_hides_them(monkeypatch):
    monkeypatch.setattr(profiles.Path, "glob", lambda *_: iter([profiles.Path("/dev/nvidia0")]))
    for hidden in ("", "-1", " "):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not has_gpu()
    for shown in ("0", "0,1", "GPU-1234"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
        assert has_gpu()


@pytest.mark.parametrize(
    ("listing", "code", "found"), [("GPU 0: NVIDIA H200", 0, True), ("No devices found", 0, False), ("", 9, False)]
)
def test_without_device_files_nvidia_smi_is_asked(monkeypatch, tmp_path, listing, code, found):
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\necho '{listing}'\nexit {code}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(profiles.Path, "glob", lambda *_: iter([]))
    assert has_gpu() is found


def test_auto_is_tiny_and_the_first_line_says_why_and_what_it_means(monkeypatch):
    tiny = resolve_profile("auto")
    assert tiny.name == "tiny"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    line = describe_choice(requested="auto", profile=tiny)
    assert line == f"Profile tiny (auto; this machine shows no GPU): {tiny.summary}"
    assert describe_choice(requested="tiny", profile=tiny) == f"Profile tiny: {tiny.summary}"
    monkeypatch.setattr(profiles, "has_gpu", lambda: True)
    assert "leaves alone" in describe_choice(requested="auto", profile=tiny)


def test_a_gpu_profile_without_a_gpu_is_refused(monkeypatch, tmp_path):
    (tmp_path / "big.yaml").write_text("name: big\nsummary: s\ntask: arithmetic\ndevice: cuda\n")
    monkeypatch.setattr(profiles, "_FOLDER", tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match="needs a GPU"):
        resolve_profile("big")


def test_a_wrong_profile_is_refused_with_line_and_key(monkeypatch, tmp_path):
    (tmp_path / "bad.yaml").write_text("name: bad\nsummary: s\ntask: arithmetic\ndevice: cpu\nray: {slot_gpu: 1}\n")
    monkeypatch.setattr(profiles, "_FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"bad.yaml:5: ray.slot_gpu: unknown key; did you mean 'slot_gpus'\?"):
        load_profile("bad")


def test_environment_values_may_be_written_as_numbers(monkeypatch, tmp_path):
    (tmp_path / "p.yaml").write_text("name: p\nsummary: s\ntask: t\ndevice: cpu\nenvironment: {A: 1, B: x}\n")
    monkeypatch.setattr(profiles, "_FOLDER", tmp_path)
    assert load_profile("p").environment == {"A": "1", "B": "x"}
