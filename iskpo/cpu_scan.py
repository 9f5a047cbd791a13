r"""The recurrences of the filter and of its gradient on the CPU: eight rows at once, in one pass over memory.

The recurrence is sequential in tokens and independent across rows, so rows are the lanes of vector instructions. Lanes
advance by *observed* tokens: a row with holes is packed first and its results are unpacked, and the others begin at
their first observed token. So gain and threshold are the same for all lanes, and what is not observed is never computed
with. Rows of similar length share their tiles.

In float32 the innovation is z_t - rho_{t-1} of the rho that is returned, and `clipped` is that innovation against the
threshold: exactly the decision that was taken. What rounding took from rho is carried to the next token, so a small
gain loses nothing. The gradient's state is float64.

Compiled by numba when first used, and imported only for tensors on a CPU.
"""

import math

import numpy as np
import torch
from numba import get_num_threads, njit, prange
from torch import Tensor

from iskpo._lanes import (
    ALIGNED,
    MARGIN,
    STEPS,
    WIDTH,
    advance,
    copy,
    copy_streaming,
    deliver,
    deliver_streaming,
    finish_streaming,
    go_back,
)
from iskpo._packing import pack, unpack
from iskpo._page_reuse import empty
from iskpo._threads import threads_of_torch
from iskpo._vector_code import LANES

_STREAMED = 1 << 24
"""Bytes of results from which they would not stay in a processor's cache, and are written past it."""


def saturated_filter(
    z: Tensor, observed: Tensor, *, gain: Tensor, threshold: Tensor | None, rho0: float
) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Run the filter along each row.

    Args:
        z: Measurements, (B, T), float32 or float64.
        observed: True on observed tokens, (B, T); the others carry the state and do not advance the count.
        gain: Gains by the number of tokens observed so far, (T + 1,) float64; entry 0 is not used.
        threshold: Clipping thresholds, indexed alike, or None for no clipping.
        rho0: State before the first token.

    Returns:
        rho, whether |innovation| exceeds the threshold, and the innovation z_t - rho_{t-1}, (B, T) each; 0 or False
        where not observed; and whether all innovations are finite. A z that is not finite makes its innovation so.
    """
    z, observed = z.detach().contiguous(), observed.contiguous()
    rho, innovation, clipped = (empty(z.shape, dtype=dtype) for dtype in (z.dtype, z.dtype, torch.bool))
    limit = torch.full_like(gain, math.inf) if threshold is None else threshold
    # The last tile may be begun with one token left; what it does with entries after the table's end is not used.
    tables = (torch.nn.functional.pad(table[1:], (0, STEPS)).to(z.dtype) for table in (gain, limit))
    with threads_of_torch():
        arrays = [x.numpy() for x in (z, observed, *tables, rho, innovation, clipped)]
        finite = _filter(*arrays, rho0, _streams(rho, innovation, clipped), get_num_threads())
    return rho, clipped, innovation, bool(finite.all())


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
    grad_z = empty(grad_rho.shape, dtype=grad_rho.dtype)
    table = torch.nn.functional.pad(gain[1:], (0, STEPS))
    with threads_of_torch():
        _adjoint(*(x.numpy() for x in (*tensors, table, grad_z)), _streams(grad_z), get_num_threads())
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
    spread = empty((len(tables), *observed.shape), dtype=tables.dtype)
    with threads_of_torch():
        _spread(observed.numpy(), tables.numpy(), spread.numpy())
    return spread


def _streams(*results: Tensor) -> bool:
    return sum(result.nbytes for result in results) >= _STREAMED


@njit(parallel=True, cache=True)
def _layout(observed):  # type: ignore[no-untyped-def]
    """Of every row the number of observed tokens, where the first stands, and where what follows the last begins."""
    rows, tokens = observed.shape
    count, begin, end = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    for row in prange(rows):
        count[row], begin[row], end[row] = _extent(observed[row])
    return count, begin, end


@njit(cache=True)
def _extent(observed):  # type: ignore[no-untyped-def]
    total, first, last = 0, 0, len(observed)
    for token in range(len(observed)):
        total += observed[token]
    while first < last and not observed[first]:
        first += 1
    while last > first and not observed[last - 1]:
        last -= 1
    return total, first, last


@njit(cache=True)
def _turn(task, tasks, threads):  # type: ignore[no-untyped-def]
    """Which group a task takes: threads take turns, since groups are sorted by length and tasks are dealt in blocks."""
    each, more = tasks // threads, tasks % threads
    # The first `more` threads have one task more than the others.
    if task < more * (each + 1):
        return task % (each + 1) * threads + task // (each + 1)
    rest = task - more * (each + 1)
    return rest % each * threads + more + rest // each


@njit(parallel=True, cache=True)
def _filter(z, observed, gain, limit, rho, innovation, clipped, rho0, streaming, threads):  # type: ignore[no-untyped-def]
    count, begin, end = _layout(observed)
    order = np.argsort(count)
    finite = np.ones(len(z), np.bool_)
    tasks = -(-len(z) // LANES)
    for task in prange(tasks):
        first = _turn(task, tasks, threads) * LANES
        members = order[first : first + LANES]
        _filter_group(
            members, count, begin, end, z, observed, gain, limit, rho, innovation, clipped, rho0, streaming, finite
        )
    return finite


# Contraction alone of what fastmath allows: a multiplication and an addition in one rounding.
@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _filter_group(  # type: ignore[no-untyped-def]
    members, count, begin, end, z, observed, gain, limit, rho, innovation, clipped, rho0, streaming, finite
):
    tokens, size = z.shape[1], z.itemsize
    measured, filtered = np.zeros((LANES, WIDTH), z.dtype), np.zeros((LANES, WIDTH), z.dtype)
    filtered[:, MARGIN + STEPS - 1] = rho0
    state = np.zeros((2, LANES), z.dtype)
    state[0] = rho0
    spoilt = np.zeros(LANES, z.dtype)
    longest = count[members[-1]]
    # Addresses of every lane's first observed z, rho, innovation and flag, and whether they are of packed rows.
    places, packed = np.zeros((LANES, 4), np.int64), np.zeros(LANES, np.bool_)
    for lane, row in enumerate(members):
        packed[lane] = count[row] != end[row] - begin[row]
        for array, address in zip((z, rho, innovation), (0, 1, 2)):
            places[lane, address] = array.ctypes.data + (row * tokens + begin[row]) * size
        places[lane, 3] = clipped.ctypes.data + row * tokens + begin[row]
    room = _room(longest, packed)
    # Packed rho takes the place of packed z, which a tile has read before it writes.
    packed_rho, packed_innovation = np.empty((LANES, room), z.dtype), np.empty((LANES, room), z.dtype)
    packed_clipped = np.empty((LANES, room), np.bool_)
    for lane, row in enumerate(members):
        if packed[lane]:
            pack(z[row], observed[row], packed_rho[lane])
            packed_rho[lane, count[row] :] = 0
            places[lane, 0] = places[lane, 1] = packed_rho.ctypes.data + lane * room * size
            places[lane, 2] = packed_innovation.ctypes.data + lane * room * size
            places[lane, 3] = packed_clipped.ctypes.data + lane * room
        else:
            _clear(rho[row], begin[row], end[row])
            _clear(innovation[row], begin[row], end[row])
            _clear(clipped[row], begin[row], end[row])
    for tile in range(-(-longest // STEPS)):
        base = tile * STEPS
        bounds = limit.ctypes.data + base * size
        for lane, row in enumerate(members):
            filtered[lane, MARGIN - 1] = filtered[lane, MARGIN + STEPS - 1]
            if count[row] - base >= STEPS or (packed[lane] and count[row] > base):
                target = measured.ctypes.data + (lane * WIDTH + MARGIN) * size
                copy(places[lane, 0] + base * size, target, STEPS * size)
            elif count[row] > base:
                _gather(z[row], begin[row] + base, end[row], measured[lane])
        for step in range(0, STEPS, LANES):
            advance(
                z,
                measured.ctypes.data + MARGIN * size,
                filtered.ctypes.data + MARGIN * size,
                step,
                gain.ctypes.data + base * size,
                bounds,
                state.ctypes.data,
            )
        for lane, row in enumerate(members):
            if count[row] - base >= STEPS or (packed[lane] and count[row] > base):
                corner = (lane * WIDTH + MARGIN) * size
                numbers = measured.ctypes.data + corner, filtered.ctypes.data + corner, bounds
                at_rho, at_innovation = places[lane, 1] + base * size, places[lane, 2] + base * size
                at_clipped = places[lane, 3] + base
                if streaming and not packed[lane] and (at_rho | at_innovation | at_clipped) % ALIGNED == 0:
                    spoilt[lane] += deliver_streaming(z, *numbers, at_rho, at_innovation, at_clipped)
                else:
                    spoilt[lane] += deliver(z, *numbers, at_rho, at_innovation, at_clipped)
            elif count[row] > base:
                first = begin[row] + base
                spoilt[lane] += _deliver_rest(
                    measured[lane], filtered[lane], limit[base:], first, end[row], rho[row], innovation[row], clipped[row]
                )
    for lane, row in enumerate(members):
        finite[row] = spoilt[lane] == 0
        if packed[lane]:
            unpack(packed_rho[lane], observed[row], rho[row], streaming)
            unpack(packed_innovation[lane], observed[row], innovation[row], streaming)
            unpack(packed_clipped[lane], observed[row], clipped[row], False)
    finish_streaming()


@njit(cache=True)
def _room(longest, packed):  # type: ignore[no-untyped-def]
    """Elements for a packed row, whole tiles and some more; none if no row is packed."""
    return (longest // STEPS + 2) * STEPS if packed.any() else 0


@njit(cache=True)
def _clear(row, begin, end):  # type: ignore[no-untyped-def]
    row[:begin] = 0
    row[end:] = 0


@njit(cache=True, error_model="numpy")
def _gather(values, begin, end, lane):  # type: ignore[no-untyped-def]
    """Put the last values of a row into a lane of the tile."""
    for position in range(begin, end):
        lane[MARGIN + position - begin] = values[position]


@njit(cache=True, error_model="numpy")
def _deliver_rest(measured, filtered, limit, begin, end, rho, innovation, clipped):  # type: ignore[no-untyped-def]
    """What `deliver` does, for the end of a row."""
    spoilt = measured[0] * 0
    for position in range(begin, end):
        step = MARGIN + position - begin
        excess = measured[step] - filtered[step - 1]
        rho[position], innovation[position] = filtered[step], excess
        clipped[position] = abs(excess) > limit[step - MARGIN]
        spoilt += excess * 0
    return spoilt


@njit(parallel=True, cache=True)
def _adjoint(grad_rho, observed, clipped, gain, grad_z, streaming, threads):  # type: ignore[no-untyped-def]
    count, begin, end = _layout(observed)
    order = np.argsort(count)
    tasks = -(-len(grad_rho) // LANES)
    for task in prange(tasks):
        first = _turn(task, tasks, threads) * LANES
        members = order[first : first + LANES]
        _adjoint_group(members, count, begin, end, grad_rho, observed, clipped, gain, grad_z, streaming)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _adjoint_group(  # type: ignore[no-untyped-def]
    members, count, begin, end, grad_rho, observed, clipped, gain, grad_z, streaming
):
    tokens, size = grad_rho.shape[1], grad_rho.itemsize
    gradient, flags = np.zeros((LANES, WIDTH), grad_rho.dtype), np.zeros((LANES, WIDTH), np.bool_)
    message = np.zeros(LANES)
    longest = count[members[-1]]
    places, packed = np.zeros((LANES, 3), np.int64), np.zeros(LANES, np.bool_)
    for lane, row in enumerate(members):
        packed[lane] = count[row] != end[row] - begin[row]
        places[lane, 0] = grad_rho.ctypes.data + (row * tokens + begin[row]) * size
        places[lane, 1] = clipped.ctypes.data + row * tokens + begin[row]
        places[lane, 2] = grad_z.ctypes.data + (row * tokens + begin[row]) * size
    room = _room(longest, packed)
    packed_gradient, packed_clipped = np.empty((LANES, room), grad_rho.dtype), np.empty((LANES, room), np.bool_)
    for lane, row in enumerate(members):
        if packed[lane]:
            pack(grad_rho[row], observed[row], packed_gradient[lane])
            pack(clipped[row], observed[row], packed_clipped[lane])
            packed_gradient[lane, count[row] :] = 0
            places[lane, 0] = places[lane, 2] = packed_gradient.ctypes.data + lane * room * size
            places[lane, 1] = packed_clipped.ctypes.data + lane * room
        else:
            _clear(grad_z[row], begin[row], end[row])
    # Lanes are aligned by their count of observed tokens, so a shorter row joins when its last tile comes; until then,
    # and after its end, its gradient is zero.
    for tile in range(-(-longest // STEPS) - 1, -1, -1):
        base = tile * STEPS
        for lane, row in enumerate(members):
            if count[row] - base >= STEPS or (packed[lane] and count[row] > base):
                corner = lane * WIDTH + MARGIN
                copy(places[lane, 0] + base * size, gradient.ctypes.data + corner * size, STEPS * size)
                copy(places[lane, 1] + base, flags.ctypes.data + corner, STEPS)
            elif count[row] > base:
                _gather(grad_rho[row], begin[row] + base, end[row], gradient[lane])
                _gather(clipped[row], begin[row] + base, end[row], flags[lane])
        for step in range(STEPS - LANES, -LANES, -LANES):
            go_back(
                grad_rho,
                gradient.ctypes.data + MARGIN * size,
                flags.ctypes.data + MARGIN,
                step,
                gain.ctypes.data + base * 8,
                message.ctypes.data,
            )
        for lane, row in enumerate(members):
            source, target = gradient.ctypes.data + (lane * WIDTH + MARGIN) * size, places[lane, 2] + base * size
            if count[row] - base >= STEPS or (packed[lane] and count[row] > base):
                if streaming and not packed[lane] and target % ALIGNED == 0:
                    copy_streaming(source, target, STEPS * size)
                else:
                    copy(source, target, STEPS * size)
            elif count[row] > base:
                first = begin[row] + base
                for position in range(first, end[row]):
                    grad_z[row, position] = gradient[lane, MARGIN + position - first]
    for lane, row in enumerate(members):
        if packed[lane]:
            unpack(packed_gradient[lane], observed[row], grad_z[row], streaming)
    finish_streaming()


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
