"""What all tests share: property tests that fail neither on a busy machine nor by chance, and which studies can run."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "everywhere", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("everywhere")


def _is_for_a_gpu() -> bool:
    # Imported when asked for: tests of the GPU kernels run where the rest of the project's needs are absent.
    if find_spec("vllm") is None:
        return False
    from sweep.profiles.profile import vllm_build

    return vllm_build() == "cuda"


FOR_A_GPU = _is_for_a_gpu()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whether a file need not be imported: end-to-end tests alone are asked for, and it has none.

    What all files import takes half a minute.
    """
    asked_for = str(config.option.markexpr)
    if asked_for.startswith("end_to_end") and " or " not in asked_for and collection_path.name.startswith("test_"):
        return True if collection_path.is_file() and "end_to_end" not in collection_path.read_text("utf-8") else None
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Studies of the tests run on the CPU, for which an environment for a GPU has no vLLM."""
    if FOR_A_GPU:
        reason = "vLLM here is built for CUDA; benchmarks/gpu_checks.py runs studies on a GPU"
        for item in items:
            if "end_to_end" in item.keywords and "gpu" not in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _as_in_an_environment_for_cpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands choose the CPU's profile, as what the tests expect of them; those of the choice itself choose freely."""
    if FOR_A_GPU and "gpu" not in request.keywords and request.node.path.stem != "test_profiles":
        monkeypatch.setattr("sweep.profiles.profile.vllm_build", lambda: "cpu")
        monkeypatch.setattr("sweep.profiles.profile.has_gpu", lambda: False)
