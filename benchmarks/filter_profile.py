"""Where the time of the filter on a CPU goes: arithmetic, memory, and the call itself, measured one by one.

A pass must move more than the floor of `benchmarks/filter_speed.py` counts, which is z, mask and rho: the filter also
writes innovations and flags, 14 bytes a token instead of 9, and the adjoint reads mask, flags and gradient and writes a
gradient, 10 bytes. `memory` is that at the speed of a copy. `arithmetic` is the same kernel on as many tokens as stay
in a core's cache, spread over all threads. `call` is a call with one token. What overlaps makes the sum larger than the
measured time; what the three do not explain makes it smaller.

    python benchmarks/filter_profile.py --rows 64 512 --tokens 8192
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from iskpo import gain_table, sigma_table
from iskpo.kernels.adjoint_kernel import adjoint_rows
from iskpo.kernels.cpu_scan import filter_adjoint, saturated_filter
from iskpo.kernels.filter_kernel import filter_rows

Q, V, KAPPA = 1e-4, 1e-2, 1.5
_CACHED = (16, 2048)


def _seconds(call: Callable[[], object], budget: float = 1.0) -> float:
    times: list[float] = []
    call()
    while len(times) < 3 or (sum(times) < budget and len(times) < 300):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def _tables(tokens: int) -> tuple[Tensor, Tensor]:
    tables = gain_table(q=Q, v=V, length=tokens), KAPPA * sigma_table(q=Q, v=V, length=tokens)
    return tuple(torch.nn.functional.pad(torch.from_numpy(table), (1, 0)) for table in tables)  # type: ignore[return-value]


def _calls(rows: int, tokens: int, missing: float) -> tuple[Callable[[], object], Callable[[], object]]:
    generator = torch.Generator().manual_seed(0)
    z = 0.05 * torch.randn(rows, tokens, generator=generator)
    mask = torch.rand(rows, tokens, generator=generator) >= missing
    gain, threshold = _tables(tokens)
    clipped = saturated_filter(z, mask, gain=gain, threshold=threshold, rho0=0.0)[1]
    gradient = torch.ones_like(z)
    return (
        lambda: saturated_filter(z, mask, gain=gain, threshold=threshold, rho0=0.0),
        lambda: filter_adjoint(gradient, mask, clipped, gain=gain),
    )


def _cached_seconds_a_token() -> tuple[float, float]:
    """Of filter and adjoint on one thread, without allocating anything."""
    rows, tokens = _CACHED
    z, mask = 0.05 * np.random.default_rng(0).standard_normal((rows, tokens), np.float32), np.ones((rows, tokens), bool)
    gain, threshold = (np.pad(table.numpy()[1:], (0, 64)) for table in _tables(tokens))
    narrow = gain.astype(np.float32), threshold.astype(np.float32)
    rho, innovation, clipped = np.empty_like(z), np.empty_like(z), np.empty_like(mask)
    forward = _seconds(lambda: filter_rows(z, mask, *narrow, rho, innovation, clipped, 0.0, False, 1))
    backward = _seconds(lambda: adjoint_rows(z, mask, clipped, gain, rho, False, 1))
    return forward / z.size, backward / z.size


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[64])
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048])
    parser.add_argument("--missing", type=float, nargs="+", default=[0.0, 0.2], help="shares of tokens that are holes")
    arguments = parser.parse_args()
    threads = torch.get_num_threads()
    arithmetic = _cached_seconds_a_token()
    single = _calls(1, 1, 0.0)
    print(f"torch {torch.__version__}, {threads} threads; times in ms")
    print(f"in cache, one thread: filter {1e9 * arithmetic[0]:.2f}, adjoint {1e9 * arithmetic[1]:.2f} ns a token")
    names = f"{'measured':>9} {'arithmetic':>11} {'memory':>7} {'call':>6} {'floor':>7}"
    print(f"{'rows x tokens':14} {'missing':>7} {'':8} {names}")
    for rows in arguments.rows:
        for tokens in arguments.tokens:
            size = rows * tokens
            source = torch.ones(9 * size, dtype=torch.uint8)
            target = torch.empty_like(source)
            floor = _seconds(lambda target=target, source=source: target.copy_(source)) / 2
            for missing in arguments.missing:
                for index, (name, moved) in enumerate((("filter", 14), ("adjoint", 10))):
                    parts = (
                        _seconds(_calls(rows, tokens, missing)[index]),
                        arithmetic[index] * size / threads,
                        floor * moved / 9,
                        _seconds(single[index], 0.2),
                        floor,
                    )
                    numbers = " ".join(
                        f"{1e3 * part:>{width}.3f}" for part, width in zip(parts, (9, 11, 7, 6, 7), strict=True)
                    )
                    print(f"{rows:>5} x {tokens:<6} {missing:>7.0%} {name:8} {numbers}", flush=True)


if __name__ == "__main__":
    main()
