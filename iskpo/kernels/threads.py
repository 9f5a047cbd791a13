"""Compiled code on the CPU uses as many threads as torch may, and leaves torch's number alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from numba import get_num_threads, set_num_threads


@contextmanager
def threads_of_torch() -> Iterator[None]:
    """Run numba's kernels on torch's number of threads, which verl and its users set.

    numba and torch share one OpenMP, and numba sets its number of threads for good when it first runs a kernel: without
    this, a worker that was given one thread went on with two, and its training took twice as long on two busy cores.
    """
    threads = torch.get_num_threads()
    before = get_num_threads()
    set_num_threads(min(before, threads))
    try:
        yield
    finally:
        set_num_threads(before)
        torch.set_num_threads(threads)
