r"""The recurrences of the filter and of its gradient on the CPU: sixteen rows at once, in one pass over memory.

The recurrence is sequential in tokens and independent across rows, so rows are the lanes of vector instructions. Lanes
advance by *observed* tokens: each block gathers the next `STEPS` observed tokens of every lane, wherever they stand, so
gain and threshold are the same for all lanes, holes cost nothing in the recurrence, and what is not observed is never
computed with. The state is float64 whatever the type of z: 1 - K would lose digits of a small gain in float32.

Compiled by numba when first used, and imported only for tensors on a CPU.
"""

import math

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from iskpo._threads import threads_of_torch

_LANES = 16
_STEPS = 64


def saturated_filter(
    z: Tensor, observed: Tensor, *, gain: Tensor, threshold: Tensor | None, rho0: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the filter along each row.

    Args:
        z: Measurements, (B, T), float32 or float64.
        observed: True on observed tokens, (B, T); the others carry the state and do not advance the count.
        gain: Gains by the number of tokens observed so far, (T + 1,) float64; entry 0 is not used.
        threshold: Clipping thresholds, indexed alike, or None for no clipping.
        rho0: State before the first token.

    Returns:
        rho, whether |innovation| exceeds the threshold, and the innovation z_t - rho_{t-1}, (B, T) each; 0 or False
        where not observed. A z that is not finite makes its innovation so.
    """
    z, observed = z.detach().contiguous(), observed.contiguous()
    rho, innovation, clipped = torch.empty_like(z), torch.empty_like(z), torch.empty_like(observed)
    limit = torch.full_like(gain, math.inf) if threshold is None else threshold
    arrays = (x.numpy() for x in (z, observed, gain, limit, rho, innovation, clipped))
    with threads_of_torch():
        _filter(*arrays, rho0)
    return rho, clipped, innovation


def filter_adjoint(grad_rho: Tensor, observed: Tensor, clipped: Tensor, *, gain: Tensor) -> Tensor:
    r"""Gradient by z from the gradient g by rho: :math:`w_t\lambda_t`, over observed tokens, with

    .. math:: \lambda_t = g_t + (1 - w_{t+1}) \lambda_{t+1}, \quad w_t = K_t \text{ or } 0 \text{ where clipped}.

    Args:
        grad_rho: g, (B, T), float32 or float64; what stands where nothing is observed has no effect.
        observed: As the filter was given it, (B, T).
        clipped: As the filter returned it, (B, T).
        gain: As the filter was given it, (T + 1,) float64.

    Returns:
        (B, T) of g's type; 0 where not observed.
    """
    tensors = [x.contiguous() for x in (grad_rho.detach(), observed, clipped)]
    grad_z = torch.empty_like(tensors[0])
    with threads_of_torch():
        _adjoint(*(x.numpy() for x in (*tensors, gain, grad_z)))
    return grad_z


def spread_tables(observed: Tensor, *, tables: Tensor) -> Tensor:
    """Entries of tables for every token, by the number of tokens observed so far.

    Args:
        observed: (B, T) bool.
        tables: (N, T + 1).

    Returns:
        (N, B, T) of the tables' type; 0 where not observed.
    """
    observed = observed.contiguous()
    spread = torch.empty((len(tables), *observed.shape), dtype=tables.dtype)
    with threads_of_torch():
        _spread(observed.numpy(), tables.numpy(), spread.numpy())
    return spread


@njit(cache=True, error_model="numpy")
def _gather(values, observed, position, tile, lane):  # type: ignore[no-untyped-def]
    """Put the next observed values of a row into a lane of the tile; how many, and where the row goes on."""
    tokens = len(values)
    stop = position + _STEPS
    if stop <= tokens and observed[position:stop].all():
        for step in range(_STEPS):
            tile[step, lane] = values[position + step]
        return _STEPS, stop
    taken = 0
    while position < tokens and taken < _STEPS:
        # Always written, and written over by the next one unless it counts: cheaper than to jump.
        tile[taken, lane] = values[position] if observed[position] else 0
        taken += observed[position]
        position += 1
    return taken, position


@njit(cache=True, error_model="numpy")
def _scatter(tile, lane, observed, start, stop, taken, target):  # type: ignore[no-untyped-def]
    """Put a lane of the tile back to where its values came from, and zeros between them."""
    if taken == stop - start:
        for step in range(taken):
            target[start + step] = tile[step, lane]
        return
    step = 0
    for position in range(start, stop):
        seen = observed[position]
        target[position] = tile[min(step, _STEPS - 1), lane] if seen else 0
        step += seen


# Contraction alone of what fastmath allows: a multiplication and an addition in one rounding.
@njit(parallel=True, cache=True, fastmath={"contract"}, error_model="numpy")
def _filter(z, observed, gain, threshold, rho, innovation, clipped, rho0):  # type: ignore[no-untyped-def]
    rows, tokens = z.shape
    for group in prange(-(-rows // _LANES)):
        first = group * _LANES
        lanes = min(_LANES, rows - first)
        tile = np.zeros((_STEPS, _LANES), dtype=z.dtype)
        residual = np.zeros((_STEPS, _LANES), dtype=z.dtype)
        flag = np.zeros((_STEPS, _LANES), dtype=np.bool_)
        state = np.full(_LANES, rho0)
        start, stop, taken = np.zeros(_LANES, np.int64), np.zeros(_LANES, np.int64), np.zeros(_LANES, np.int64)
        count = 1
        while start[:lanes].min() < tokens:
            for lane in range(lanes):
                taken[lane], stop[lane] = _gather(z[first + lane], observed[first + lane], start[lane], tile, lane)
            steps = taken[:lanes].max()
            for step in range(steps):
                weight, limit = gain[count + step], threshold[count + step]
                for lane in range(_LANES):
                    excess = np.float64(tile[step, lane]) - state[lane]
                    residual[step, lane] = excess
                    flag[step, lane] = abs(excess) > limit
                    state[lane] += weight * min(max(excess, -limit), limit)
                    tile[step, lane] = state[lane]
            count += steps
            for lane in range(lanes):
                row = first + lane
                _scatter(tile, lane, observed[row], start[lane], stop[lane], taken[lane], rho[row])
                _scatter(residual, lane, observed[row], start[lane], stop[lane], taken[lane], innovation[row])
                _scatter(flag, lane, observed[row], start[lane], stop[lane], taken[lane], clipped[row])
            start[:] = stop


@njit(parallel=True, cache=True, fastmath={"contract"}, error_model="numpy")
def _adjoint(grad_rho, observed, clipped, gain, grad_z):  # type: ignore[no-untyped-def]
    rows, tokens = grad_rho.shape
    for group in prange(-(-rows // _LANES)):
        first = group * _LANES
        lanes = min(_LANES, rows - first)
        total = np.zeros(_LANES, np.int64)
        for lane in range(lanes):
            total[lane] = observed[first + lane].sum()
        tile = np.zeros((_STEPS, _LANES), dtype=grad_rho.dtype)
        flag = np.zeros((_STEPS, _LANES), dtype=np.bool_)
        message = np.zeros(_LANES)
        start, stop, taken = np.zeros(_LANES, np.int64), np.full(_LANES, tokens), np.zeros(_LANES, np.int64)
        # Lanes are aligned by their count of observed tokens, so a shorter row joins when its last block comes.
        for block in range(-(-total.max() // _STEPS) - 1, -1, -1):
            base = block * _STEPS
            for lane in range(lanes):
                row = first + lane
                taken[lane] = min(max(total[lane] - base, 0), _STEPS)
                start[lane] = _go_back(observed[row], stop[lane], taken[lane], base == 0)
                _gather_block(grad_rho[row], observed[row], start[lane], stop[lane], tile, lane)
                _gather_block(clipped[row], observed[row], start[lane], stop[lane], flag, lane)
                # What the lane held before is no gradient of this block.
                tile[taken[lane] :, lane] = 0
            for step in range(taken[:lanes].max() - 1, -1, -1):
                weight = gain[1 + base + step]
                for lane in range(_LANES):
                    adjoint = np.float64(tile[step, lane]) + message[lane]
                    share = (0.0 if flag[step, lane] else weight) * adjoint
                    message[lane] = adjoint - share
                    tile[step, lane] = share
            for lane in range(lanes):
                row = first + lane
                _scatter(tile, lane, observed[row], start[lane], stop[lane], taken[lane], grad_z[row])
            stop[:] = start
        for lane in range(lanes):
            grad_z[first + lane, : stop[lane]] = 0


@njit(cache=True)
def _go_back(observed, stop, wanted, to_the_start):  # type: ignore[no-untyped-def]
    """Where the last `wanted` observed tokens before `stop` begin; 0 if there are no others."""
    if to_the_start:
        return 0
    if wanted and stop >= wanted and observed[stop - wanted : stop].all():
        return stop - wanted
    while wanted:
        stop -= 1
        wanted -= observed[stop]
    return stop


@njit(cache=True)
def _gather_block(values, observed, start, stop, tile, lane):  # type: ignore[no-untyped-def]
    """Put the observed values from start to stop, no more than a tile holds, into a lane of the tile."""
    taken = 0
    for position in range(start, stop):
        if observed[position]:
            tile[taken, lane] = values[position]
            taken += 1


@njit(parallel=True, cache=True)
def _spread(observed, tables, spread):  # type: ignore[no-untyped-def]
    number, rows, tokens = spread.shape
    for row in prange(rows):
        for table in range(number):
            count = 0
            for token in range(tokens):
                seen = observed[row, token]
                count += seen
                spread[table, row, token] = tables[table, count] if seen else 0
