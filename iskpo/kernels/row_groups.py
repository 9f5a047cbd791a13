"""How the rows of a batch are dealt to threads and lanes: sixteen at a time, of similar length."""

# numba declares no types.
# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

import numpy as np
from numba import njit, prange

from iskpo.kernels.lanes import MARGIN, STEPS
from iskpo.kernels.packing import count_observed
from iskpo.kernels.vector_code import LANES

GROUP = 2 * LANES
"""Rows of a tile: two sets of lanes take turns, since one alone would wait for its own results."""


@njit(parallel=True, cache=True)
def layout(observed):
    """Of every row the number of observed tokens, where the first stands, and where what follows the last begins."""
    rows = len(observed)
    count, begin, end = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    for row in prange(rows):
        count[row], begin[row], end[row] = _extent(observed[row])
    return count, begin, end


@njit(cache=True)
def _extent(observed):
    total, first, last = count_observed(observed), 0, len(observed)
    while first < last and not observed[first]:
        first += 1
    while last > first and not observed[last - 1]:
        last -= 1
    return total, first, last


@njit(cache=True)
def turn(task, tasks, threads):
    """Which group a task takes: threads take turns, since groups are sorted by length and tasks are dealt in blocks."""
    each, more = tasks // threads, tasks % threads
    # The first `more` threads have one task more than the others.
    if task < more * (each + 1):
        return task % (each + 1) * threads + task // (each + 1)
    rest = task - more * (each + 1)
    return rest % each * threads + more + rest // each


@njit(cache=True)
def room(longest, packed):
    """Elements for a packed row, whole tiles and some more; none if no row is packed."""
    return (longest // STEPS + 2) * STEPS if packed.any() else 0


@njit(cache=True)
def clear(row, begin, end):
    row[:begin] = 0
    row[end:] = 0


@njit(cache=True, error_model="numpy")
def gather(values, begin, end, lane):
    """Put the last values of a row into a lane of the tile."""
    for position in range(begin, end):
        lane[MARGIN + position - begin] = values[position]
