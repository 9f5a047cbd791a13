"""vLLM 0.28.0 for CPUs: keep a layer's own weight, so that new weights have somewhere to go.

After loading, vLLM on a CPU repacks the weight of every linear layer and drops the original, so the weights that verl
sends after each step have nowhere to go ("Parameter has no attribute weight_loader"), and an output layer that kept its
packed copy would go on sampling from old weights. Here the plain product with the layer's own weight is kept instead.

vLLM finds this through the entry point ``vllm.general_plugins``. It goes away when ``dispatch_cpu_unquantized_gemm`` in
``vllm/model_executor/layers/utils.py`` can leave weights as they are.
"""

from typing import Any

import torch


def _keep_plain_linear(layer: Any, remove_weight: bool) -> None:
    del remove_weight
    if layer.weight.ndim == 2:
        layer.cpu_linear = torch.nn.functional.linear


def register() -> None:
    """Change vLLM where it runs on a CPU; do nothing on any other platform."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        from vllm.model_executor.layers import utils

        utils.dispatch_cpu_unquantized_gemm = _keep_plain_linear
