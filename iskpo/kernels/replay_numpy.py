"""The replay in numpy alone, where numba is not installed: correct, and some twenty times slower."""

import numpy as np
import numpy.typing as npt

LANES = 1
ROWS = 256
_SETTINGS_AT_ONCE = 256


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
    """Add the statistics of some tiles to `sums` and `counts`.

    Args:
        z: Observed log ratios in tiles of R sequences, longest first: token t of row r of a tile that begins at s is
            z[s + t R + r], whatever stands after a sequence's end.
        starts: (tiles + 1,) where each tile begins.
        lengths: (tiles R,) tokens of each sequence; the first of a tile has at least one, 0 stands for no sequence.
        settings: (5, S) rows Q, V, kappa, P_0, rho_0.
        low: Lower end of the objective's interval of log ratios.
        high: Upper end.
        sums: (4, S) sum over tokens of the gain; over pairs of neighbouring tokens of a sequence, with
            d = rho - rho_0 (which spares the variance a cancellation), of d_{t-1} + d_t, of d_{t-1}^2 + d_t^2,
            and of (d_t - d_{t-1})^2.
        counts: (3, S) tokens clipped, tokens with rho outside the interval, pairs in which the sign of rho changes.
    """
    rows = lengths.size // (starts.size - 1)
    for first in range(0, settings.shape[1], _SETTINGS_AT_ONCE):
        block = slice(first, first + _SETTINGS_AT_ONCE)
        for tile, base in enumerate(starts[:-1]):
            ends = lengths[tile * rows : (tile + 1) * rows]
            q, v, kappa, variance, rho0 = settings[:, block]
            rho = np.repeat(rho0[None], rows, 0)
            for token in range((starts[tile + 1] - base) // rows):
                active = int(np.count_nonzero(ends > token))
                predicted = variance + q
                gain = predicted / (predicted + v)
                threshold = kappa * np.sqrt(predicted + v)
                variance = gain * v
                old = rho[:active]
                at = base + token * rows
                innovation = z[at : at + active, None].astype(np.float64) - old
                step = gain * np.clip(innovation, -threshold, threshold)
                new = old + step
                sums[0, block] += active * gain
                counts[0, block] += (np.abs(innovation) > threshold).sum(0)
                counts[1, block] += ((new < low) | (new > high)).sum(0)
                if token:
                    earlier, later = old - rho0, new - rho0
                    sums[1, block] += (earlier + later).sum(0)
                    sums[2, block] += (earlier * earlier + later * later).sum(0)
                    sums[3, block] += (step * step).sum(0)
                    counts[2, block] += ((new < 0) != (old < 0)).sum(0)
                rho[:active] = new
