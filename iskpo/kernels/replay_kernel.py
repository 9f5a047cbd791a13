"""The replay as compiled by numba: one setting a SIMD lane, blocks of settings on all cores.

The recurrence is sequential in tokens and independent across settings, so lanes are settings: every lane does the same
arithmetic on the same log ratio, and no lane waits. Everything is float64, because on two cores it reaches the wanted
speed without the doubts of a narrower type; counts are integers.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit, prange

LANES = 32
"""Settings of a block; the number of settings is to be a multiple. 16 to 64 were measured alike on AVX2."""
ROWS = 16
"""Sequences of a tile: enough that the gain, computed once a tile, costs little, and few enough for the cache."""


# Contraction alone of what fastmath allows: a multiplication and an addition in one rounding.
@njit(parallel=True, fastmath={"contract"}, error_model="numpy", cache=True)  # type: ignore[untyped-decorator]
def replay_tiles(
    z: npt.NDArray[np.float32],
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    settings: npt.NDArray[np.float64],
    low: float,
    high: float,
    sums: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
) -> None:
    """Add the statistics of some tiles to `sums` and `counts`; arguments as of `replay_numpy.replay_tiles`."""
    tiles = starts.size - 1
    rows = lengths.size // tiles
    for block in prange(settings.shape[1] // LANES):
        first = block * LANES
        q, v, kappa, p0, rho0 = (
            settings[0, first : first + LANES],
            settings[1, first : first + LANES],
            settings[2, first : first + LANES],
            settings[3, first : first + LANES],
            settings[4, first : first + LANES],
        )
        variance, gain, threshold = np.empty(LANES), np.empty(LANES), np.empty(LANES)
        total, square, change, gains = np.empty(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES)
        clipped = np.empty(LANES, np.int64)
        outside = np.empty(LANES, np.int64)
        switched = np.empty(LANES, np.int64)
        rho = np.empty((rows, LANES))
        for tile in range(tiles):
            base = starts[tile]
            tokens = (starts[tile + 1] - base) // rows
            gains[:] = 0.0
            clipped[:] = 0
            outside[:] = 0
            variance[:] = p0
            for row in range(rows):
                rho[row, :] = rho0
            active = rows
            for token in range(tokens):
                while lengths[tile * rows + active - 1] <= token:
                    active -= 1
                for lane in range(LANES):
                    predicted = variance[lane] + q[lane]
                    innovation_variance = predicted + v[lane]
                    gain[lane] = predicted / innovation_variance
                    variance[lane] = gain[lane] * v[lane]
                    threshold[lane] = kappa[lane] * math.sqrt(innovation_variance)
                    gains[lane] += active * gain[lane]
                for row in range(active):
                    measured = np.float64(z[base + token * rows + row])
                    state = rho[row]
                    for lane in range(LANES):
                        old = state[lane]
                        innovation = measured - old
                        limit = threshold[lane]
                        step = gain[lane] * min(max(innovation, -limit), limit)
                        new = old + step
                        state[lane] = new
                        earlier, later = old - rho0[lane], new - rho0[lane]
                        total[lane] += earlier + later
                        square[lane] += earlier * earlier + later * later
                        change[lane] += step * step
                        clipped[lane] += abs(innovation) > limit
                        outside[lane] += (new < low) | (new > high)
                        switched[lane] += (new < 0.0) != (old < 0.0)
                if token == 0:
                    # A first token ends no pair; the inner loop has no branch for it.
                    total[:] = 0.0
                    square[:] = 0.0
                    change[:] = 0.0
                    switched[:] = 0
            for lane in range(LANES):
                sums[0, first + lane] += gains[lane]
                sums[1, first + lane] += total[lane]
                sums[2, first + lane] += square[lane]
                sums[3, first + lane] += change[lane]
                counts[0, first + lane] += clipped[lane]
                counts[1, first + lane] += outside[lane]
                counts[2, first + lane] += switched[lane]
