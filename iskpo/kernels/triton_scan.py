r"""The recurrences of the filter and of its gradient on a GPU, by the kernels of `iskpo.kernels.triton_kernels`.

Imported only for tensors on a GPU, because iskpo does without triton elsewhere; `TRITON_INTERPRET=1` runs it on a CPU.
"""

# mypy: disable-error-code="no-untyped-call"

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from iskpo.kernels.torch_loop import Filtered
from iskpo.kernels.triton_kernels import adjoint_kernel, filter_kernel


class _Shape(NamedTuple):
    """The part of a row that a program works on at once: each of its threads takes a chunk of neighbouring tokens."""

    chunks: int
    steps: int

    @property
    def options(self) -> dict[str, int]:
        """For the launch. Registers: as many as let four programs share a multiprocessor, so 512 rows run at once."""
        threads = max(32, self.chunks)
        return {
            "CHUNKS": self.chunks,
            "STEPS": self.steps,
            "num_warps": threads // 32,
            "maxnreg": min(255, 16384 // threads),
        }


# At least 32 chunks on a GPU, at least 4 steps, powers of two. `benchmarks/gpu_filter.py --tune` times others; these
# are from the code compiled for an H100, by its registers (116 and 92 of the 128), instructions and cache lines read.
_FILTER = _Shape(chunks=128, steps=8)
_ADJOINT = _Shape(chunks=128, steps=8)


def clipping_filter(z: Tensor, observed: Tensor, *, gain: Tensor, threshold: Tensor | None, rho0: float) -> Filtered:
    """Run the filter along each row.

    The innovations are not stored but found again where somebody asks for them: they are 4 of 14 bytes a token.

    Args:
        z: Measurements, (B, T), float32 or float64, finite where observed; must not change before innovations are asked
            for.
        observed: True on observed tokens, (B, T); the others carry the state and do not advance the count.
        gain: Gains by the number of tokens observed so far, (T + 1,) float64; entry 0 is not used.
        threshold: Clipping thresholds, indexed alike, or None for no clipping.
        rho0: State before the first token.

    Returns:
        What `iskpo.kernels.torch_loop.Filtered` says, with counts.
    """
    z, flags = z.detach().contiguous(), _bytes(observed)
    rho, clipped = torch.empty_like(z), torch.empty_like(observed, memory_format=torch.contiguous_format)
    counts = torch.empty(len(z), dtype=torch.int32, device=z.device)

    def run(*results: Tensor | None) -> None:
        if z.numel():
            tables = (None if table is None else _rounded(table, z.dtype) for table in (gain, threshold))
            with torch.cuda.device_of(z):
                filter_kernel[(len(z),)](z, flags, *tables, *results, z.shape[1], RHO0=rho0, **_FILTER.options)

    def innovation() -> Tensor:
        found = torch.empty_like(z)
        run(None, None, None, found)
        return found

    run(rho, _bytes(clipped), counts, None)
    return Filtered(
        rho=rho,
        clipped=clipped,
        innovation=innovation,
        finite=lambda: not z.numel() or not bool((counts < 0).any()),
        counts=counts,
    )


def filter_adjoint(
    grad_rho: Tensor, observed: Tensor, clipped: Tensor, *, gain: Tensor, counts: Tensor | None = None
) -> Tensor:
    r"""Gradient by z from the gradient g by rho: :math:`w_t\lambda_t` with

    .. math:: \lambda_t = g_t + (1 - w_{t+1}) \lambda_{t+1}

    over observed tokens, where w_t is K_t, or 0 if clipped.

    Args:
        grad_rho: g, (B, T), float32 or float64; of no effect where not observed.
        observed: As given to the filter.
        clipped: As returned by the filter.
        gain: As given to the filter.
        counts: As returned by the filter, or None to count again.

    Returns:
        (B, T), of g's type; 0 where not observed.
    """
    grad_rho = grad_rho.contiguous()
    grad_z = torch.empty_like(grad_rho)
    if grad_rho.numel():
        if counts is None:
            counts = observed.sum(1, dtype=torch.int32)
        with torch.cuda.device_of(grad_rho):
            adjoint_kernel[(len(grad_rho),)](
                grad_rho,
                _bytes(observed),
                _bytes(clipped),
                _rounded(gain, grad_rho.dtype),
                counts,
                grad_z,
                grad_rho.shape[1],
                **_ADJOINT.options,
            )
    return grad_z


def _bytes(flags: Tensor) -> Tensor:
    return flags.contiguous().view(torch.uint8)


@lru_cache(maxsize=32)
def _rounded(table: Tensor, dtype: torch.dtype) -> Tensor:
    """From the first observed token on. Kept, because the caller keeps its tables; copied, to begin at a cache line."""
    return table[1:].to(dtype, copy=True)
