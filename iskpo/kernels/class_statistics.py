"""Moments of innovations by class of tokens for CPUs: one compiled loop over a row, and a second for its deviations."""

# numba declares no types.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from iskpo.kernels.cpu import threads_of_torch


def class_statistics(
    *,
    innovation: npt.NDArray[Any],
    sigma: npt.NDArray[Any],
    clipped: npt.NDArray[np.bool_],
    observed: npt.NDArray[np.bool_],
    old_log_prob: npt.NDArray[Any],
    bounds: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Moments of each row and class, (B, C + 1, 8), see `iskpo.innovation_moments.FIELDS`.

    A row's tokens are added up in their order by one thread, so the number of threads changes no digit.

    Args:
        innovation: (B, T), as all others but `bounds`; NaN and infinity are left out.
        sigma: Above 0 where observed.
        clipped: Whether the innovation was clipped.
        observed: The mask.
        old_log_prob: What the classes are of.
        bounds: Where the second to the last class begin, included, (C,) ascending.
    """
    arrays = [np.ascontiguousarray(array) for array in (innovation, sigma, clipped, observed, old_log_prob)]
    moments = np.zeros((len(innovation), len(bounds) + 1, 8))
    with threads_of_torch():
        _moments(*arrays, bounds, moments)
    return moments


@njit(parallel=True, cache=True)
def _moments(innovation, sigma, clipped, observed, old_log_prob, bounds, moments):
    rows, tokens = innovation.shape
    for row in prange(rows):
        own = moments[row]
        for token in range(tokens):
            value = np.float64(innovation[row, token])
            if observed[row, token] and math.isfinite(value):
                place = _class(np.float64(old_log_prob[row, token]), bounds)
                ratio = value / np.float64(sigma[row, token])
                own[place, 0] += 1
                own[place, 1] += clipped[row, token]
                own[place, 2] += ratio * ratio
                own[place, 3] = max(own[place, 3], abs(value))
                own[place, 4] += value
        for place in range(len(own)):
            own[place, 4] /= max(own[place, 0], 1.0)
        for token in range(tokens):
            value = np.float64(innovation[row, token])
            if observed[row, token] and math.isfinite(value):
                place = _class(np.float64(old_log_prob[row, token]), bounds)
                deviation = value - own[place, 4]
                square = deviation * deviation
                own[place, 5] += square
                own[place, 6] += square * deviation
                own[place, 7] += square * square


@njit(cache=True)
def _class(value, bounds):
    place = 0
    while place < len(bounds) and value >= bounds[place]:
        place += 1
    return place
