"""The whole IS-KPO loss on a GPU beside the training step it belongs to, without verl.

What `iskpo/verl/loss.py` does: objective, mean over tokens and then sequences, gradient, and all statistics, fetched by
the host. It is called from Python as in training, so waiting for the host is in its time.

The step: 6 operations a parameter and token (forward and backward of a dense model) at the speed of a large bf16 matrix
product in the same run. That leaves out attention, recomputation, the pass for old log-probabilities, optimiser,
communication and generation, and no step reaches that speed; a real step takes longer. So the share is the most that it
can be. One row at a time is the worst case: the loss then takes the time of its launches.
"""

from typing import Any

import torch
from gpu_problem import Q, V
from gpu_timing import called_seconds
from torch import Tensor

from iskpo import FilterSettings, InnovationSummary, kalman_clipped_objective

PARAMETERS_OF_4B_MODEL = 4e9
KAPPA = 3.0
SHAPES = ((1, 8192), (512, 8192), (512, 32768))


def batch(rows: int, tokens: int, device: str) -> dict[str, Tensor]:
    """Log-probabilities whose ratios are student-t noise; rows of half to all of the tokens."""
    generator = torch.Generator(device).manual_seed(0)
    noise = torch.randn(4, rows, tokens, generator=generator, device=device)
    old = -torch.rand(rows, tokens, generator=generator, device=device)
    lengths = torch.randint(tokens // 2, tokens + 1, (rows, 1), generator=generator, device=device)
    return {
        "log_prob": old + 0.05 * noise[0] / (noise[1:] ** 2).mean(0).sqrt(),
        "old_log_prob": old,
        "advantages": torch.randn(rows, 1, generator=generator, device=device).expand(rows, tokens).contiguous(),
        "mask": torch.arange(tokens, device=device) < lengths,
    }


def loss(inputs: dict[str, Tensor]) -> tuple[Tensor, InnovationSummary]:
    """The gradient by log_prob, and the statistics."""
    log_prob, mask = inputs["log_prob"].detach().requires_grad_(), inputs["mask"]
    settings = FilterSettings(q=Q, v=V, kappa=KAPPA)
    result = kalman_clipped_objective(**{**inputs, "log_prob": log_prob}, settings=settings)
    value = ((result.token_loss * mask).sum(1) / mask.sum(1)).mean()
    with torch.no_grad():
        z = torch.where(mask, log_prob - inputs["old_log_prob"], 0).sum(dtype=torch.float64)
        torch.stack([result.ratio_clipped.sum().double(), z]).tolist()
        summary = InnovationSummary.from_filter(result.filtered, mask)
    value.backward()
    assert log_prob.grad is not None
    return log_prob.grad, summary


def timed(rows: int, tokens: int, operations_a_second: float) -> dict[str, Any]:
    """Seconds of the loss, of the step, and the loss's share."""
    inputs = batch(rows, tokens, "cuda")
    seconds = called_seconds(lambda: loss(inputs), 10)
    step = 6 * PARAMETERS_OF_4B_MODEL * rows * tokens / operations_a_second
    return {"rows": rows, "tokens": tokens, "loss_seconds": seconds, "step_seconds": step, "share": seconds / step}
