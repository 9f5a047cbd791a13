"""Batches for the GPU benchmarks, the kernels' calls on them, the same in plain float64, and the loop in PyTorch."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from gpu_timing import batches, graph_seconds
from torch import Tensor

from iskpo import gain_table, sigma_table

Q, V = 1e-4, 1e-2
FLOOR_BYTES = 9  # a token and way


class Problem(NamedTuple):
    """A batch and its tables (float64, indexed by observed count)."""

    z: Tensor
    observed: Tensor
    gradient: Tensor
    gain: Tensor
    threshold: Tensor | None


class Expected(NamedTuple):
    """The results that filter and adjoint must have, (B, T) float64."""

    rho: Tensor
    innovation: Tensor
    clipped: Tensor
    limit: Tensor
    gradient: Tensor


def problem(rows: int, tokens: int, clipped: float, missing: float, device: str) -> Problem:
    """Student-t noise with three degrees of freedom, and a threshold at which about that share is clipped."""
    generator = torch.Generator(device).manual_seed(0)
    noise = torch.randn(5, rows, tokens, generator=generator, device=device)
    z = 0.05 * noise[0] / (noise[1:4] ** 2).mean(0).sqrt()
    observed = torch.rand(rows, tokens, generator=generator, device=device) >= missing
    gain, sigma = (
        torch.nn.functional.pad(torch.from_numpy(table(q=Q, v=V, length=tokens)), (1, 0)).to(device)
        for table in (gain_table, sigma_table)
    )
    found = Problem(z, observed, noise[4].clone(), gain, None)
    low, high = 1e-3, 1e3
    for _ in range(15 if clipped else 0):
        kappa = math.sqrt(low * high)
        flags = forward(found._replace(threshold=kappa * sigma)).clipped
        low, high = (kappa, high) if flags.sum() > clipped * observed.sum() else (low, kappa)
    return found._replace(threshold=math.sqrt(low * high) * sigma) if clipped else found


def forward(given: Problem) -> Any:
    """The filter's kernel."""
    # Imported late: `--interpret` must be known before triton is imported.
    from iskpo.kernels import triton_scan

    return triton_scan.clipping_filter(given.z, given.observed, gain=given.gain, threshold=given.threshold, rho0=0.0)


def backward(given: Problem, clipped: Tensor, counts: Tensor) -> Tensor:
    """The adjoint's kernel."""
    from iskpo.kernels import triton_scan

    return triton_scan.filter_adjoint(given.gradient, given.observed, clipped, gain=given.gain, counts=counts)


def kernel_seconds(given: Problem) -> tuple[float, float]:
    """Seconds of the two kernels."""
    copies = [
        given._replace(z=given.z.clone(), observed=given.observed.clone(), gradient=given.gradient.clone())
        for _ in range(batches(*given.z.shape))
    ]
    found = [forward(copy) for copy in copies]
    backwards = [partial(backward, copy, one.clipped, one.counts) for copy, one in zip(copies, found, strict=True)]
    return graph_seconds([partial(forward, copy) for copy in copies]), graph_seconds(backwards)


def plain(given: Problem) -> Expected:
    """Token by token in numpy, which for some hundred rows at once takes less time than launching kernels would.

    A token that is not observed weighs nothing: it leaves rho and the adjoint's message as they are.
    """
    observed = given.observed.cpu()
    seen = observed.cumsum(1)
    weight = torch.where(observed, given.gain.cpu()[seen], 0)
    limit = torch.full_like(weight, math.inf) if given.threshold is None else given.threshold.cpu()[seen]
    z, gradient = (torch.where(observed, x.cpu().double(), 0) for x in (given.z, given.gradient))
    z_t, weight_t, limit_t, gradient_t = (x.t().contiguous().numpy() for x in (z, weight, limit, gradient))
    rho_t, innovation_t, result_t = (np.empty_like(z_t) for _ in range(3))

    rho = np.zeros(len(z))
    for token, (measured, share, bound) in enumerate(zip(z_t, weight_t, limit_t, strict=True)):
        innovation = measured - rho
        rho = rho + share * np.minimum(np.maximum(innovation, -bound), bound)
        rho_t[token], innovation_t[token] = rho, innovation
    clipped_t = np.abs(innovation_t) > limit_t
    weight_t[clipped_t] = 0
    message = np.zeros(len(z))
    for token in reversed(range(len(z_t))):
        adjoint = gradient_t[token] + message
        result_t[token] = weight_t[token] * adjoint
        message = adjoint - result_t[token]
    rho, innovation, clipped, result = (
        torch.from_numpy(x).t().contiguous() for x in (rho_t, innovation_t, clipped_t, result_t)
    )
    rho, innovation = torch.where(observed, rho, 0), torch.where(observed, innovation, 0)
    return Expected(*(x.to(given.z.device) for x in (rho, innovation, clipped & observed, limit, result)))


def loop(z: Tensor, given: Problem) -> Tensor:
    """rho token by token in PyTorch, differentiable by autograd."""
    seen = given.observed.cumsum(1)
    limit = torch.full_like(given.gain, math.inf) if given.threshold is None else given.threshold
    rho = torch.zeros_like(z[:, 0])
    rhos = []
    for measured, present, weight, bound in zip(
        z.unbind(1),
        given.observed.unbind(1),
        given.gain.to(z.dtype)[seen].unbind(1),
        limit.to(z.dtype)[seen].unbind(1),
        strict=True,
    ):
        innovation = measured - rho
        rho = torch.where(present, rho + weight * innovation.clamp(-bound, bound), rho)
        rhos.append(rho)
    return torch.stack(rhos, 1) * given.observed
