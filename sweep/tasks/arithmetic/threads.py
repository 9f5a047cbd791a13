"""How many threads teach and sample."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_thread() -> Iterator[None]:
    """Run torch on one thread, whatever the machine has, and restore the caller's number.

    The order of float32 sums, and so the weights, depends on the number. One, because the model is so small that a
    second thread mostly waits, spinning: on two busy cores, teaching took three times the CPU time with two.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
