"""The adjoint of `iskpo.kernels.cpu_scan` as numba compiles it: tile before tile of sixteen rows."""

# numba declares no types.
# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

import numpy as np
from numba import njit, prange

from iskpo.kernels.lanes import ALIGNED, MARGIN, STEPS, WIDTH, copy, copy_streaming, finish_streaming, go_back
from iskpo.kernels.packing import pack, unpack
from iskpo.kernels.row_groups import GROUP, clear, gather, layout, room, turn
from iskpo.kernels.vector_code import LANES


@njit(parallel=True, cache=True)
def adjoint_rows(grad_rho, observed, clipped, gain, grad_z, streaming, threads):
    count, begin, end = layout(observed)
    order = np.argsort(count)
    tasks = -(-len(grad_rho) // GROUP)
    for task in prange(tasks):
        first = turn(task, tasks, threads) * GROUP
        members = order[first : first + GROUP]
        _adjoint_group(members, count, begin, end, grad_rho, observed, clipped, gain, grad_z, streaming)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _adjoint_group(members, count, begin, end, grad_rho, observed, clipped, gain, grad_z, streaming):
    tokens, size = grad_rho.shape[1], grad_rho.itemsize
    gradient, flags = np.zeros((GROUP, WIDTH), grad_rho.dtype), np.zeros((GROUP, WIDTH), np.bool_)
    message = np.zeros(GROUP)
    longest = count[members[-1]]
    places, packed = np.zeros((GROUP, 3), np.int64), np.zeros(GROUP, np.bool_)
    for lane, row in enumerate(members):
        packed[lane] = count[row] != end[row] - begin[row]
        places[lane, 0] = grad_rho.ctypes.data + (row * tokens + begin[row]) * size
        places[lane, 1] = clipped.ctypes.data + row * tokens + begin[row]
        places[lane, 2] = grad_z.ctypes.data + (row * tokens + begin[row]) * size
    width = room(longest, packed)
    packed_gradient, packed_clipped = np.empty((GROUP, width), grad_rho.dtype), np.empty((GROUP, width), np.bool_)
    for lane, row in enumerate(members):
        if packed[lane]:
            pack(grad_rho[row], observed[row], packed_gradient[lane])
            pack(clipped[row], observed[row], packed_clipped[lane])
            packed_gradient[lane, count[row] :] = 0
            places[lane, 0] = places[lane, 2] = packed_gradient.ctypes.data + lane * width * size
            places[lane, 1] = packed_clipped.ctypes.data + lane * width
        else:
            clear(grad_z[row], begin[row], end[row])
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
                gather(grad_rho[row], begin[row] + base, end[row], gradient[lane])
                gather(clipped[row], begin[row] + base, end[row], flags[lane])
        for step in range(STEPS - LANES, -LANES, -LANES):
            for half in range(2):
                corner = half * LANES * WIDTH + MARGIN
                go_back(
                    grad_rho,
                    gradient.ctypes.data + corner * size,
                    flags.ctypes.data + corner,
                    step,
                    gain.ctypes.data + base * 8,
                    message.ctypes.data + half * LANES * 8,
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
