"""Mend weight updates of vLLM's CPU backend; found by vLLM through its ``vllm.general_plugins`` entry point.

After loading, vLLM on a CPU repacks the weight of every linear layer and drops the original, so the weights that verl
sends after each step have nowhere to go ("Parameter has no attribute weight_loader"), and an output layer that kept its
packed copy would go on sampling from old weights. Here the plain product with the layer's own weight is kept instead.
"""

from typing import Any

import torch


def _keep_plain_linear(layer: Any, remove_weight: bool) -> None:
    del remove_weight
    if layer.weight.ndim == 2:
        layer.cpu_linear = torch.nn.functional.linear


def register() -> None:
    """Replace vLLM's choice of matrix product when vLLM runs on a CPU; do nothing on any other platform."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        from vllm.model_executor.layers import utils

        utils.dispatch_cpu_unquantized_gemm = _keep_plain_linear
