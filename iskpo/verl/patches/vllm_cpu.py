"""Mend weight updates of vLLM's CPU backend; found by vLLM through its ``vllm.general_plugins`` entry point.

After loading, vLLM on a CPU repacks the weight of every linear layer and drops the original, so the weights that verl
sends after each step have nowhere to go ("Parameter has no attribute weight_loader"), and an output layer that kept its
packed copy would go on sampling from old weights. Here the plain product with the layer's own weight is kept instead.

vLLM's engine and its worker also wait for each other in a busy loop for up to a second. Between GPUs that saves
latency; on a laptop it takes one of two cores from the process that is waited for. Here they sleep until notified.
"""

from typing import Any

import torch

_wait: Any = None


def _keep_plain_linear(layer: Any, remove_weight: bool) -> None:
    del remove_weight
    if layer.weight.ndim == 2:
        layer.cpu_linear = torch.nn.functional.linear


def _wait_without_spinning(condition: Any, timeout_ms: int | None = None) -> None:
    condition.busy_loop_s = 0.0
    _wait(condition, timeout_ms)


def register() -> None:
    """Change vLLM where it runs on a CPU; do nothing on any other platform."""
    global _wait
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        from vllm.distributed.device_communicators import shm_broadcast
        from vllm.model_executor.layers import utils

        utils.dispatch_cpu_unquantized_gemm = _keep_plain_linear
        if shm_broadcast.SpinCondition.wait is not _wait_without_spinning:
            _wait = shm_broadcast.SpinCondition.wait
            shm_broadcast.SpinCondition.wait = _wait_without_spinning  # type: ignore[assignment]
