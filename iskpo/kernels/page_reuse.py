"""Memory for large results on the CPU, used again once nobody holds it.

The system clears every page that it hands out, which takes longer than to filter into it. CUDA's allocator keeps what
was freed for this reason; torch's for the CPU does not.
"""

import itertools
import weakref
from collections import deque
from math import prod

import numpy as np
import torch
from torch import Tensor

_SMALLEST = 1 << 20
"""Bytes from which memory is kept; less comes from the heap, whose pages are in use already."""
_KEPT = 8
"""Pieces that are kept at most."""
_ALIGNMENT = 64
_STAGGER = 1024
"""Pieces begin at different offsets in a page: results written side by side else compete for the same cache lines."""

_SPARE = _ALIGNMENT + 4 * _STAGGER

_turn = itertools.count()
_free: deque[np.ndarray[tuple[int], np.dtype[np.uint8]]] = deque(maxlen=_KEPT)


def empty(shape: tuple[int, ...], *, dtype: torch.dtype) -> Tensor:
    """A tensor of any contents, on the CPU. Its memory comes from an earlier one of its size if that one is gone."""
    size = prod(shape) * dtype.itemsize
    if size < _SMALLEST:
        return torch.empty(shape, dtype=dtype)
    memory = _taken(size)
    start = -memory.ctypes.data % _ALIGNMENT + next(_turn) % 4 * _STAGGER
    # torch holds this view until the last tensor that shares its memory is gone; the view's end gives the memory back.
    view = memory[start : start + size]
    weakref.finalize(view, _free.append, memory).atexit = False
    return torch.from_numpy(view).view(dtype).view(shape)


def _taken(size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    for _ in range(len(_free)):
        try:
            memory = _free.popleft()
        except IndexError:  # another thread took it
            break
        if memory.size == size + _SPARE:
            return memory
        _free.append(memory)
    return np.empty(size + _SPARE, dtype=np.uint8)
