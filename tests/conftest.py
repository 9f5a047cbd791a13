"""What all tests share: property tests that fail neither on a busy machine nor by chance, and which studies can run."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "everywhere", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("everywhere")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Studies of the tests run on the CPU, for which an environment for a GPU has no vLLM."""
    studies = [item for item in items if "end_to_end" in item.keywords and "gpu" not in item.keywords]
    if studies and _is_for_a_gpu():
        reason = "vLLM here is built for CUDA; benchmarks/gpu_checks.py runs studies on a GPU"
        for item in studies:
            item.add_marker(pytest.mark.skip(reason=reason))


def _is_for_a_gpu() -> bool:
    # Imported when asked for: tests of the GPU kernels run where the rest of the project's needs are absent.
    from sweep.profiles import vllm_build

    return vllm_build() == "cuda"
