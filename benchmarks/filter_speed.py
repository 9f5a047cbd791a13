"""How fast the filter is, against the loop that anyone would write in torch and against a copy, in the same run.

The loop takes columns by `z.unbind(1)`, since `z[:, t]` makes autograd quadratic, and counts every token as observed.
The floor is the time to move the 9 bytes a token that any filter must (float32 z in, mask in, float32 rho out), at the
speed of a copy. `stats` is `InnovationSummary.from_filter` on top of the forward pass. The first lines time the loops
alone, on one thread and on rows that stay in a core's cache: what else runs on the machine disturbs that least.

    python benchmarks/filter_speed.py --rows 64 512 --tokens 8192 --missing 0 0.2
"""

import argparse
import time
from collections.abc import Callable

import numba
import numpy as np
import torch
from torch import Tensor

from iskpo import InnovationSummary, filter_log_ratios, gain_table, sigma_table
from iskpo.kernels import cpu

Q, V = 1e-4, 1e-2
KAPPA = 3.0


def _unbind_loop(z: Tensor, mask: Tensor, gain: Tensor, threshold: Tensor) -> Tensor:
    rho = torch.zeros_like(z[:, 0])
    out = []
    for measured, seen, weight, limit in zip(z.unbind(1), mask.unbind(1), gain, threshold, strict=True):
        rho = torch.where(seen, rho + weight * (measured - rho).clamp(-limit, limit), rho)
        out.append(rho)
    return torch.stack(out, 1)


def _milliseconds(call: Callable[[], object], budget: float = 2.0) -> float:
    """Shortest time of a call in about `budget` seconds after one warm-up: what else runs here can only add to it."""
    times: list[float] = []
    call()
    while len(times) < 2 or (sum(times) < budget and len(times) < 1000):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def _cached_nanoseconds(missing: float, *, rows: int = 16, tokens: int = 2048) -> str:
    generator = np.random.default_rng(0)
    z = (0.05 * generator.standard_t(3, (rows, tokens))).astype(np.float32)
    mask = generator.random(z.shape) >= missing
    gain, sigma = (np.pad(table(q=Q, v=V, length=tokens), (1, 0)) for table in (gain_table, sigma_table))
    limit = (KAPPA * sigma).astype(np.float32)
    rho, innovation, clipped = np.empty_like(z), np.empty_like(z), np.empty_like(mask)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    forward = _milliseconds(lambda: cpu._filter(z, mask, gain, limit, 0.0, rho, innovation, clipped))
    backward = _milliseconds(lambda: cpu._adjoint(z, mask, clipped, gain, rho))
    numba.set_num_threads(before)
    filtered, adjoint = (1e6 * spent / z.size for spent in (forward, backward))
    return f"in cache, one thread, {missing:.0%} missing: filter {filtered:.2f}, adjoint {adjoint:.2f} ns a token"


def _row(rows: int, tokens: int, missing: float) -> str:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4, rows, tokens, generator=generator)
    z = 0.05 * noise[0] / (noise[1:] ** 2).mean(0).sqrt()  # student-t with 3 degrees of freedom
    mask = torch.rand(rows, tokens, generator=generator) >= missing
    gain, sigma = (torch.from_numpy(table(q=Q, v=V, length=tokens)).float() for table in (gain_table, sigma_table))
    # Written before it is read: pages that never were are all the same page of zeros, which stays in the cache.
    source = torch.ones(9 * rows * tokens, dtype=torch.uint8)
    target, ones = torch.empty_like(source), torch.ones_like(z)

    def ours(through: bool) -> None:
        x = z.detach().requires_grad_(through)
        gradient = "through" if through else "straight_through"
        rho = filter_log_ratios(x, mask, q=Q, v=V, kappa=KAPPA, gradient=gradient).rho
        if through:
            torch.autograd.grad(rho, x, ones)

    def loop(through: bool) -> None:
        x = z.detach().requires_grad_(through)
        with torch.set_grad_enabled(through):
            rho = _unbind_loop(x, mask, gain, KAPPA * sigma)
        if through:
            torch.autograd.grad(rho, x, ones)

    def summary() -> None:
        InnovationSummary.from_filter(filter_log_ratios(z, mask, q=Q, v=V, kappa=KAPPA), mask)

    floor = _milliseconds(lambda: target.copy_(source)) / 2  # a copy moves 9 bytes in and 9 bytes out
    clipped = float(filter_log_ratios(z, mask, q=Q, v=V, kappa=KAPPA).clipped.float().mean())
    cells = [f"{rows:>5} x {tokens:<6}", f"{clipped:>7.1%}", f"{missing:>7.0%}", f"{floor:>9.3f}"]
    for through in (False, True):
        mine, theirs = (_milliseconds(lambda call=call, through=through: call(through)) for call in (ours, loop))
        floors = (2 if through else 1) * floor
        cells += [f"{mine:>10.2f}", f"{theirs:>10.1f}", f"{theirs / mine:>7.1f}x", f"{mine / floors:>8.1f}"]
    return " ".join([*cells, f"{_milliseconds(summary):>9.2f}"])


def main() -> None:
    """Print one line for each size and share of holes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[64])
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048])
    parser.add_argument("--missing", type=float, nargs="+", default=[0.0], help="shares of tokens that are holes")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; shortest times in ms")
    print(*map(_cached_nanoseconds, arguments.missing), sep="\n")
    half = f"{'ours':>10} {'loop':>10} {'ratio':>8} {'x floor':>8}"
    print(f"{'':14} {'':7} {'':7} {'':>9} {'forward':>39} {'forward + backward':>39}")
    print(f"{'rows x tokens':14} {'clipped':>7} {'missing':>7} {'floor':>9} {half} {half} {'stats':>9}")
    for rows in arguments.rows:
        for tokens in arguments.tokens:
            for missing in arguments.missing:
                print(_row(rows, tokens, missing), flush=True)


if __name__ == "__main__":
    main()
