"""Which shape of a tile suits a device: `_FILTER` and `_ADJOINT` of `iskpo/kernels/triton_scan.py`, timed in turn.

Kernels are compiled beforehand by as many processes as there are cores, into Triton's cache. Every shape's rho and
gradient must be those of the shape in use to 1e-5 of the largest, or it does not count.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

import torch
from gpu_problem import FLOOR_BYTES, backward, forward, kernel_seconds, problem
from gpu_timing import batches, copy_seconds

CHUNKS_AND_STEPS = ((32, 16), (64, 8), (64, 16), (128, 4), (128, 8), (128, 16), (256, 4), (256, 8))
CASES = ((0.0, 0.0), (0.01, 0.0), (0.01, 0.2))  # share of innovations clipped, share of tokens missing


def run(shapes: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    """Print ratios to the floor of every tile, the best marked, and give them."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        list(pool.map(_compile, CHUNKS_AND_STEPS))
    records: list[dict[str, Any]] = []
    for rows, tokens in shapes:
        floor = copy_seconds(FLOOR_BYTES * rows * tokens, batches(rows, tokens))
        for clipped, missing in CASES:
            given = problem(rows, tokens, clipped, missing, "cuda")
            usual = forward(given)
            expected = [usual.rho, backward(given, usual.clipped, usual.counts)]
            found = []
            for tile in CHUNKS_AND_STEPS:
                with _in_use(tile):
                    results = [forward(given).rho, backward(given, usual.clipped, usual.counts)]
                    once, back = (seconds / floor for seconds in kernel_seconds(given))
                record = {"chunks": tile[0], "steps": tile[1], "forward": once, "backward": back}
                record |= {"both": (once + back) / 2, "right": _alike(results, expected)}
                record |= {"rows": rows, "tokens": tokens, "clipped": clipped, "missing": missing}
                found.append(record)
            _print(found, floor)
            records += found
    return {"cases": records}


def _compile(tile: tuple[int, int]) -> None:
    """All kernels of a tile, by running them on little."""
    with _in_use(tile):
        small = problem(2, 64, 0.0, 0.0, "cuda")
        for threshold in (None, small.gain):
            small = small._replace(threshold=threshold)
            found = forward(small)
            backward(small, found.clipped, found.counts)


@contextmanager
def _in_use(tile: tuple[int, int]) -> Iterator[None]:
    from iskpo.kernels import triton_scan

    shape = triton_scan._Shape(*tile)
    with patch.object(triton_scan, "_FILTER", shape), patch.object(triton_scan, "_ADJOINT", shape):
        yield


def _alike(results: list[torch.Tensor], expected: list[torch.Tensor]) -> bool:
    return all(
        bool((one - other).abs().max() <= 1e-5 * other.abs().max())
        for one, other in zip(results, expected, strict=True)
    )


def _print(found: list[dict[str, Any]], floor: float) -> None:
    about = found[0]
    case = f"{about['clipped']:.0%} clipped, {about['missing']:.0%} missing"
    print(f"{about['rows']} x {about['tokens']}, {case}, floor {1e6 * floor:.1f} us; x floor:")
    names = ("forward", "backward", "both")
    best = {name: min(record[name] for record in found if record["right"]) for name in names}
    for record in found:
        ratios = "".join(f" {name} {record[name]:5.2f}{'*' if record[name] == best[name] else ' '}" for name in names)
        wrong = "" if record["right"] else "  WRONG"
        print(f"  chunks {record['chunks']:>3}, steps {record['steps']:>2}:{ratios}{wrong}", flush=True)
