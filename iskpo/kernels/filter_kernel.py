"""The filter of `iskpo.kernels.cpu_scan` as numba compiles it: tile after tile of sixteen rows."""

# numba declares no types.
# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

import numpy as np
from numba import njit, prange

from iskpo.kernels.lanes import (
    ALIGNED,
    MARGIN,
    STEPS,
    WIDTH,
    advance,
    copy,
    deliver,
    deliver_streaming,
    finish_streaming,
)
from iskpo.kernels.packing import pack, unpack
from iskpo.kernels.row_groups import GROUP, clear, gather, layout, room, turn
from iskpo.kernels.vector_code import LANES


@njit(parallel=True, cache=True)
def filter_rows(z, observed, gain, limit, rho, innovation, clipped, rho0, streaming, threads):
    count, begin, end = layout(observed)
    order = np.argsort(count)
    finite = np.ones(len(z), np.bool_)
    tasks = -(-len(z) // GROUP)
    for task in prange(tasks):
        first = turn(task, tasks, threads) * GROUP
        members = order[first : first + GROUP]
        _filter_group(
            members, count, begin, end, z, observed, gain, limit, rho, innovation, clipped, rho0, streaming, finite
        )
    return finite


# Contraction alone of what fastmath allows: a multiplication and an addition in one rounding.
@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _filter_group(
    members, count, begin, end, z, observed, gain, limit, rho, innovation, clipped, rho0, streaming, finite
):
    tokens, size = z.shape[1], z.itemsize
    measured, filtered = np.zeros((GROUP, WIDTH), z.dtype), np.zeros((GROUP, WIDTH), z.dtype)
    filtered[:, MARGIN + STEPS - 1] = rho0
    state = np.zeros((2, 2, LANES), z.dtype)
    state[:, 0] = rho0
    spoilt = np.zeros(GROUP, z.dtype)
    longest = count[members[-1]]
    # Addresses of every lane's first observed z, rho, innovation and flag, and whether they are of packed rows.
    places, packed = np.zeros((GROUP, 4), np.int64), np.zeros(GROUP, np.bool_)
    for lane, row in enumerate(members):
        packed[lane] = count[row] != end[row] - begin[row]
        at = row * tokens + begin[row]
        places[lane, 0], places[lane, 1] = z.ctypes.data + at * size, rho.ctypes.data + at * size
        places[lane, 2], places[lane, 3] = innovation.ctypes.data + at * size, clipped.ctypes.data + at
    width = room(longest, packed)
    # Packed rho takes the place of packed z, which a tile has read before it writes.
    packed_rho, packed_innovation = np.empty((GROUP, width), z.dtype), np.empty((GROUP, width), z.dtype)
    packed_clipped = np.empty((GROUP, width), np.bool_)
    for lane, row in enumerate(members):
        if packed[lane]:
            pack(z[row], observed[row], packed_rho[lane])
            packed_rho[lane, count[row] :] = 0
            places[lane, 0] = places[lane, 1] = packed_rho.ctypes.data + lane * width * size
            places[lane, 2] = packed_innovation.ctypes.data + lane * width * size
            places[lane, 3] = packed_clipped.ctypes.data + lane * width
        else:
            clear(rho[row], begin[row], end[row])
            clear(innovation[row], begin[row], end[row])
            clear(clipped[row], begin[row], end[row])
    for tile in range(-(-longest // STEPS)):
        base = tile * STEPS
        bounds = limit.ctypes.data + base * size
        for lane, row in enumerate(members):
            filtered[lane, MARGIN - 1] = filtered[lane, MARGIN + STEPS - 1]
            if count[row] - base >= STEPS or (packed[lane] and count[row] > base):
                target = measured.ctypes.data + (lane * WIDTH + MARGIN) * size
                copy(places[lane, 0] + base * size, target, STEPS * size)
            elif count[row] > base:
                gather(z[row], begin[row] + base, end[row], measured[lane])
        for step in range(0, STEPS, LANES):
            for half in range(2):
                corner = (half * LANES * WIDTH + MARGIN) * size
                advance(
                    z,
                    measured.ctypes.data + corner,
                    filtered.ctypes.data + corner,
                    step,
                    gain.ctypes.data + base * size,
                    bounds,
                    state.ctypes.data + half * 2 * LANES * size,
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
                    measured[lane],
                    filtered[lane],
                    limit[base:],
                    first,
                    end[row],
                    rho[row],
                    innovation[row],
                    clipped[row],
                )
    for lane, row in enumerate(members):
        finite[row] = spoilt[lane] == 0
        if packed[lane]:
            unpack(packed_rho[lane], observed[row], rho[row], streaming)
            unpack(packed_innovation[lane], observed[row], innovation[row], streaming)
            unpack(packed_clipped[lane], observed[row], clipped[row], False)
    finish_streaming()


@njit(cache=True, error_model="numpy")
def _deliver_rest(measured, filtered, limit, begin, end, rho, innovation, clipped):
    """What `deliver` does, for the end of a row."""
    spoilt = measured[0] * 0
    for position in range(begin, end):
        step = MARGIN + position - begin
        excess = measured[step] - filtered[step - 1]
        rho[position], innovation[position] = filtered[step], excess
        clipped[position] = abs(excess) > limit[step - MARGIN]
        spoilt += excess * 0
    return spoilt
