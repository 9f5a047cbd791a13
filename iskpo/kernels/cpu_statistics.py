"""Sums over a batch of innovations on the CPU: one compiled pass over memory instead of one for each statistic.

Compiled by numba when it is first used. A row is read twice, for its mean and for the deviations from it; the second
time it comes from the cache. Rows are merged by the same formula as micro-batches, in float64.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import get_num_threads, njit, prange

from iskpo.innovation_histogram import BINS, MULTIPLES, OFFSET, SHIFT
from iskpo.kernels.threads import threads_of_torch

_MULTIPLES = np.array(MULTIPLES)


def row_statistics(
    *,
    innovation: npt.NDArray[Any],
    sigma: npt.NDArray[Any],
    gain: npt.NDArray[Any],
    clipped: npt.NDArray[np.bool_],
    observed: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Statistics of every row, and one histogram of all.

    Args:
        innovation: (B, T) floating point.
        sigma: (B, T), > 0 where observed.
        gain: (B, T).
        clipped: (B, T).
        observed: (B, T).

    Returns:
        (B, 3) counts: observed, clipped, finite innovations; (B, 8) sums: gain, sigma, largest |innovation|, largest
        |innovation| / sigma, mean, and the sums of the second, third and fourth powers of deviations from that mean;
        and the histogram as `iskpo.innovations` counts it.
    """
    with threads_of_torch():
        # Contiguous, as every memory layout would be compiled anew.
        arrays = (np.ascontiguousarray(array) for array in (innovation, sigma, gain, clipped, observed))
        counts, sums, histograms = _kernel(*arrays, get_num_threads())
    return counts, sums, histograms.sum(0)


# Sums may be taken in any order, which lets them use vector instructions; NaN and infinity keep their meaning.
@njit(parallel=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _kernel(innovation, sigma, gain, clipped, observed, blocks):  # type: ignore[no-untyped-def]
    rows, tokens = innovation.shape
    counts = np.zeros((rows, 3), dtype=np.int64)
    sums = np.zeros((rows, 8))
    histograms = np.zeros((blocks, BINS + len(_MULTIPLES)), dtype=np.int64)
    for block in prange(blocks):
        histogram = histograms[block]
        for row in range(block * rows // blocks, (block + 1) * rows // blocks):
            seen = cut = finite = 0
            gains = sigmas = total = largest = largest_ratio = 0.0
            for token in range(tokens):
                if not observed[row, token]:
                    continue
                seen += 1
                cut += clipped[row, token]
                scale = np.float64(sigma[row, token])
                gains += gain[row, token]
                sigmas += scale
                value = np.float64(innovation[row, token])
                if not math.isfinite(value):
                    continue
                finite += 1
                total += value
                size = abs(value)
                ratio = size / scale
                largest = max(largest, size)
                largest_ratio = max(largest_ratio, ratio)
                index = (np.float64(ratio).view(np.int64) >> SHIFT) - OFFSET
                histogram[min(max(index, 0), BINS - 1)] += 1
                for number in range(len(_MULTIPLES)):
                    if ratio <= _MULTIPLES[number]:
                        break
                    histogram[BINS + number] += 1
            mean = total / max(finite, 1)
            second = third = fourth = 0.0
            for token in range(tokens):
                value = np.float64(innovation[row, token])
                if observed[row, token] and math.isfinite(value):
                    deviation = value - mean
                    square = deviation * deviation
                    second += square
                    third += square * deviation
                    fourth += square * square
            counts[row] = seen, cut, finite
            sums[row] = gains, sigmas, largest, largest_ratio, mean, second, third, fourth
    return counts, sums, histograms
