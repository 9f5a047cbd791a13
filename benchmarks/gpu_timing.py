"""Times on a CUDA device: of kernels alone, of calls from Python, and what the device could do at best."""

import math
import time
from collections.abc import Callable

import torch

_MORE_THAN_CACHE = 256 * 2**20
REPLAYS = 20


def graph_seconds(calls: list[Callable[[], object]]) -> float:
    """Seconds a call on the device, shortest of `REPLAYS` of all calls, whose results are kept apart in memory.

    Captured in a CUDA graph, so that Python is not measured. The first call must leave nothing to prepare.
    """
    calls[0]()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [call() for call in calls]
    times = []
    for _ in range(REPLAYS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return min(times) / len(kept)


def called_seconds(call: Callable[[], object], repeats: int, *, warm: bool = True) -> float:
    """Shortest time of a call from Python to the device's end of work."""
    if warm:
        call()
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def copy_seconds(size: int, copies: int) -> float:
    """Seconds to move so many bytes: a copy of them moves them twice."""
    sources = [torch.zeros(size, dtype=torch.uint8, device="cuda") for _ in range(copies)]
    for source in sources:
        source.random_()
    return graph_seconds([source.clone for source in sources]) / 2


def batches(rows: int, tokens: int) -> int:
    """How many float32 batches exceed the cache."""
    return math.ceil(_MORE_THAN_CACHE / (4 * rows * tokens))


def matmul_rate() -> float:
    """bf16 operations a second of a large product, on random data."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    return 2 * 8192**3 / called_seconds(lambda: a @ a, 20)
