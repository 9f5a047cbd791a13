r"""The recurrences of the filter and of its gradient as GPU kernels: one program a row, tile after tile.

Within a tile :math:`\rho_t = \rho_{t-1} + K_t \mathrm{clip}(z_t - \rho_{t-1}, \pm c_t)` is affine once it is known
which tokens are clipped and to which side. So: guess that pattern, run all tokens of the tile by an associative scan,
read the pattern off the innovations, repeat until it stays. A pattern that its own trajectory reproduces is the exact
solution. It is always reached, without a cap: an output of the scan depends only on the tokens before it, by the same
operations each time, so every pass settles at least one token more. The first guess takes rho as it was before the
tile, which is right for nearly all tokens where the gain is small: 1 to 3 passes on noise, clipped up to 20 %. A signal
that wanders away from rho within a tile needs hundreds from there, but under ten where nothing is thought clipped at
first; so after four passes that is the guess to go on from (at most 63 passes in all of random walks, steps, square
waves and bursts, counted in a simulation at a tile of 1024).

The arithmetic is that of z. To keep its digits at a small gain the scan works on d = rho - (rho before the tile), and
a map d -> (1 - p) d + b is held as (p, b): neither 1 - K nor a product of such is ever formed.

Imported only for tensors on a GPU, because iskpo does without triton elsewhere; `TRITON_INTERPRET=1` runs it on a CPU.
"""

# A kernel's arguments are of Triton's types, which Triton does not declare to mypy.
# mypy: disable-error-code="import-untyped, no-untyped-call, no-untyped-def, untyped-decorator"

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

# Tokens a program works on at once, and its warps. Compiled for an H200, a thread then needs 109 registers of the 128
# that let four programs share a multiprocessor, so 512 rows run at once; with twice the tile and warps half would wait.
_TILE = 1024
_WARPS = 4
_PASSES_FROM_FIRST_GUESS = tl.constexpr(4)  # as constexpr, since a kernel may read no other global


def saturated_filter(
    z: Tensor, observed: Tensor, *, gain: Tensor, threshold: Tensor | None, rho0: float
) -> tuple[Tensor, Tensor, Tensor, None]:
    """Run the filter along each row.

    Args:
        z: Measurements, (B, T), float32 or float64, contiguous, finite where observed.
        observed: True on observed tokens, (B, T); the others carry the state and do not advance the count.
        gain: Gains by the number of tokens observed so far, (T + 1,) float64; entry 0 is not used.
        threshold: Clipping thresholds, indexed alike, or None for no clipping.
        rho0: State before the first token.

    Returns:
        rho, whether |innovation| exceeds the threshold, and the innovation z_t - rho_{t-1}, (B, T) each; 0 or False
        where not observed; and None, for not having looked whether all innovations are finite.
    """
    rho, innovation, clipped = torch.empty_like(z), torch.empty_like(z), torch.empty_like(z, dtype=torch.bool)
    if z.numel():
        with torch.cuda.device_of(z):
            _filter_kernel[(z.shape[0],)](
                z,
                _bytes(observed),
                _rounded(gain, z.dtype),
                None if threshold is None else _rounded(threshold, z.dtype),
                rho,
                _bytes(clipped),
                innovation,
                z.shape[1],
                RHO0=rho0,
                TILE=_TILE,
                num_warps=_WARPS,
            )
    return rho, clipped, innovation, None


def filter_adjoint(grad_rho: Tensor, observed: Tensor, clipped: Tensor, *, gain: Tensor) -> Tensor:
    r"""Gradient by z from the gradient g by rho: :math:`w_t\lambda_t` with

    .. math:: \lambda_t = g_t + (1 - w_{t+1}) \lambda_{t+1}

    over observed tokens, where w_t is K_t, or 0 if clipped.

    Args:
        grad_rho: g, (B, T), float32 or float64; of no effect where not observed.
        observed: As given to the filter.
        clipped: As returned by the filter.
        gain: As given to the filter.

    Returns:
        (B, T), of g's type; 0 where not observed.
    """
    grad_rho = grad_rho.contiguous()
    grad_z = torch.empty_like(grad_rho)
    if grad_rho.numel():
        with torch.cuda.device_of(grad_rho):
            _adjoint_kernel[(grad_rho.shape[0],)](
                grad_rho,
                _bytes(observed),
                _bytes(clipped),
                _rounded(gain, grad_rho.dtype),
                grad_z,
                grad_rho.shape[1],
                TILE=_TILE,
                num_warps=_WARPS,
            )
    return grad_z


def _bytes(flags: Tensor) -> Tensor:
    return flags.contiguous().view(torch.uint8)


@lru_cache(maxsize=32)
def _rounded(table: Tensor, dtype: torch.dtype) -> Tensor:
    """Kept, because the caller keeps its tables and a conversion costs two launches beside one kernel."""
    return table.to(dtype)


@triton.jit
def _compose(p, b, p_next, b_next):
    """First d -> (1 - p) d + b, then the same with p_next and b_next."""
    return p + (p_next - p_next * p), b + (b_next - p_next * b)


@triton.jit
def _filter_kernel(
    z_ptr,
    observed_ptr,
    gain_ptr,
    threshold_ptr,
    rho_ptr,
    clipped_ptr,
    innovation_ptr,
    tokens,
    RHO0: tl.constexpr,  # a float argument would be rounded to float32
    TILE: tl.constexpr,
):
    lane = tl.arange(0, TILE)
    row = tl.program_id(0).to(tl.int64) * tokens
    dtype = z_ptr.dtype.element_ty
    state = tl.full((), RHO0, dtype)
    count = tl.full((), 0, tl.int32)
    z_next = tl.load(z_ptr + row + lane, lane < tokens, other=0)
    observed_next = tl.load(observed_ptr + row + lane, lane < tokens, other=0)
    for start in range(0, tokens, TILE):
        token = start + lane
        z, observed = z_next, observed_next != 0
        # The next tile is on its way while this one is worked on.
        ahead = token + TILE
        z_next = tl.load(z_ptr + row + ahead, ahead < tokens, other=0)
        observed_next = tl.load(observed_ptr + row + ahead, ahead < tokens, other=0)

        seen = count + tl.cumsum(observed.to(tl.int32), 0)
        count = tl.max(seen, 0)
        gain = tl.load(gain_ptr + seen, observed, other=0)
        measured = tl.where(observed, z - state, 0)
        if threshold_ptr is None:
            _, moved = tl.associative_scan((gain, gain * measured), 0, _compose)
            innovation = measured - _before(moved, lane)
            side = tl.zeros((TILE,), tl.int32)
        else:
            limit = tl.load(threshold_ptr + seen, observed, other=0)
            side = _side(measured, limit)
            moved = tl.zeros((TILE,), dtype)
            innovation = tl.zeros((TILE,), dtype)
            unsettled = 1
            passes = 0
            while unsettled > 0:
                passes += 1
                inside = side == 0
                step = tl.where(inside, measured, side.to(dtype) * limit)
                _, moved = tl.associative_scan((tl.where(inside, gain, 0), gain * step), 0, _compose)
                innovation = tl.where(observed, measured - _before(moved, lane), 0)
                found = _side(innovation, limit)
                unsettled = tl.max((found != side).to(tl.int32), 0)
                side = tl.where((unsettled > 0) & (passes == _PASSES_FROM_FIRST_GUESS), 0, found)
        valid = token < tokens
        tl.store(rho_ptr + row + token, tl.where(observed, state + moved, 0), valid)
        tl.store(clipped_ptr + row + token, (side != 0).to(tl.uint8), valid)
        tl.store(innovation_ptr + row + token, tl.where(observed, innovation, 0), valid)
        state += tl.sum(tl.where(lane == TILE - 1, moved, 0), 0)


@triton.jit
def _side(innovation, limit):
    """1 or -1 where an innovation is clipped from above or below, else 0."""
    return (innovation > limit).to(tl.int32) - (innovation < -limit).to(tl.int32)


@triton.jit
def _before(x, lane):
    """Each entry's predecessor; 0 before the first."""
    return tl.where(lane == 0, 0, tl.gather(x, tl.maximum(lane - 1, 0), 0))


@triton.jit
def _adjoint_kernel(
    gradient_ptr,
    observed_ptr,
    clipped_ptr,
    gain_ptr,
    result_ptr,
    tokens,
    TILE: tl.constexpr,
):
    lane = tl.arange(0, TILE)
    row = tl.program_id(0).to(tl.int64) * tokens
    # Time runs backwards, and so does the count of observed tokens: first their number.
    present = tl.zeros((TILE,), tl.int32)
    for start in range(0, tokens, TILE):
        token = start + lane
        present += tl.load(observed_ptr + row + token, token < tokens, other=0).to(tl.int32)
    count = tl.sum(present, 0)

    message = tl.full((), 0, gradient_ptr.dtype.element_ty)  # (1 - w) lambda of the first token of the tile after
    tiles = tl.cdiv(tokens, TILE)
    for done in range(0, tiles):
        token = (tiles - 1 - done) * TILE + lane
        valid = token < tokens
        observed = tl.load(observed_ptr + row + token, valid, other=0) != 0
        clipped = tl.load(clipped_ptr + row + token, valid, other=0) != 0
        gradient = tl.load(gradient_ptr + row + token, valid, other=0)
        passed = tl.cumsum(observed.to(tl.int32), 0)
        count -= tl.max(passed, 0)
        weight = tl.load(gain_ptr + count + passed, observed & ~clipped, other=0)
        added = tl.where(observed, gradient, 0) + tl.where(lane == TILE - 1, message, 0)
        _, messages = tl.associative_scan((weight, added - weight * added), 0, _compose, reverse=True)
        tl.store(result_ptr + row + token, weight * (added + _after(messages, lane, TILE)), valid)
        message = tl.sum(tl.where(lane == 0, messages, 0), 0)


@triton.jit
def _after(x, lane, TILE: tl.constexpr):
    """Each entry's successor; 0 after the last."""
    return tl.where(lane == TILE - 1, 0, tl.gather(x, tl.minimum(lane + 1, TILE - 1), 0))
