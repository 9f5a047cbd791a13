"""verl 0.9.1: a platform for CPUs, beside verl's own for CUDA, ROCm and NPU.

verl asks its platform for everything that depends on the device. On a CPU there is one device, nothing to synchronise
and no memory to manage; what verl calls a GPU is a *logical* Ray resource that stands for a slot. It would also ask
torch for the backend "cpu:gloo,cpu:gloo", which torch refuses.

It goes away when verl registers a platform "cpu" of its own: look into ``verl/plugin/platform``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import psutil
import torch
from typing_extensions import override
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _zero(*_: Any, **__: Any) -> int:
    return 0


def _memory_information(*_: Any) -> tuple[int, int]:
    memory = psutil.virtual_memory()
    return memory.available, memory.total


# What verl calls on `torch.cuda` and `torch.cpu` lacks.
_MISSING_FROM_TORCH_CPU = {
    "empty_cache": _nothing,
    "ipc_collect": _nothing,
    "set_device": _nothing,
    "reset_peak_memory_stats": _nothing,
    "memory_allocated": _zero,
    "max_memory_allocated": _zero,
    "memory_reserved": _zero,
    "max_memory_reserved": _zero,
    "mem_get_info": _memory_information,
    "manual_seed": torch.manual_seed,
    "manual_seed_all": torch.manual_seed,
    "get_rng_state": torch.get_rng_state,
    "set_rng_state": torch.set_rng_state,
    "is_bf16_supported": lambda *_: True,
}


class PlatformCPU(PlatformBase):
    """verl on a CPU: gloo for collectives, shared memory for weights on their way to vLLM."""

    # verl's base class wants them all; on a CPU there is nothing to do.
    set_device = synchronize = set_allocator_settings = empty_cache = profiler_start = profiler_stop = cudart = _nothing

    @override
    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    @property
    @override
    def device_name(self) -> str:
        """torch's name of the device."""
        return "cpu"

    @property
    @override
    def vendor_name(self) -> str:
        """verl's name of the vendor."""
        return "cpu"

    @property
    @override
    def device_module(self) -> ModuleType:
        """`torch.cpu`, completed by the functions that verl expects of `torch.cuda`."""
        for name, value in _MISSING_FROM_TORCH_CPU.items():
            if not hasattr(torch.cpu, name):
                setattr(torch.cpu, name, value)
        return torch.cpu

    @override
    def is_available(self) -> bool:
        return True

    @override
    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        """Only when asked for by ``VERL_PLATFORM=cpu``: a CPU is everywhere, and a GPU must win where there is one."""
        return False

    @override
    def current_device(self) -> Any:
        """A device, not an index: callers do ``tensor.to(current_device())``, and a bare 0 would mean a GPU."""
        return torch.device("cpu")

    @override
    def device_count(self) -> int:
        return 1

    @override
    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    @override
    def communication_backend_name(self) -> str:
        return "gloo"

    @override
    def visible_devices_envvar(self) -> str:
        return "ISKPO_VISIBLE_CPU_SLOTS"

    @contextmanager
    @override
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    @override
    def ray_resource_name(self) -> str:
        """verl counts only "GPU" and "NPU" among free resources, so a slot is a logical Ray GPU."""
        return "GPU"

    @override
    def ray_noset_envvars(self) -> list[str]:
        return []

    @override
    def is_ipc_supported(self) -> bool:
        """No device memory to share: weights reach vLLM through shared memory."""
        return False


def _use_gloo_alone() -> None:
    """verl would ask torch for "cpu:gloo,cpu:gloo", which torch refuses as a duplicate device."""
    import verl.utils.distributed as distributed

    initialize = distributed.initialize_global_process_group_ray

    def initialize_with_gloo(timeout_second: int | None = None, backend: str | None = None) -> None:
        initialize(timeout_second, backend or "cpu:gloo")

    distributed.initialize_global_process_group_ray = initialize_with_gloo


def install() -> None:
    """Register the platform under the name ``cpu`` and mend what verl builds from the device's name."""
    PlatformRegistry.register(platform="cpu")(PlatformCPU)
    _use_gloo_alone()
