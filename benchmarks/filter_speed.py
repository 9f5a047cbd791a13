"""How fast the filter is, against the loop anyone would write and against the speed of memory, in the same run.

The loop is the fair one: it takes columns by `z.unbind(1)`, since `z[:, t]` makes autograd quadratic. The floor is the
time to copy the 9 bytes a token that any filter must move each way (float32 z in, mask in, float32 rho out).

`stats` is `InnovationSummary.from_filter` on top of the forward pass, gain and sigma of every token included.

    python benchmarks/filter_speed.py --rows 64 512 --tokens 8192 --missing 0 0.2
"""

import argparse
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from iskpo import InnovationSummary, filter_log_ratios, gain_table, sigma_table

Q, V = 1e-4, 1e-2


def _unbind_loop(z: Tensor, mask: Tensor, gain: Tensor, threshold: Tensor) -> Tensor:
    """Its gain does not count observed tokens: the right work, and the right result for full masks."""
    rho = torch.zeros(z.shape[0], dtype=z.dtype, device=z.device)
    out = []
    for measured, seen, weight, limit in zip(z.unbind(1), mask.unbind(1), gain, threshold, strict=True):
        rho = torch.where(seen, rho + weight * (measured - rho).clamp(-limit, limit), rho)
        out.append(rho)
    return torch.stack(out, 1)


def _seconds(call: Callable[[], object], device: torch.device, budget: float = 1.0) -> float:
    """Shortest time of a call in about `budget` seconds after one warm-up: what else runs here can only add to it."""
    times: list[float] = []
    call()
    while len(times) < 2 or (sum(times) < budget and len(times) < 200):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def _kappa_for(share: float, z: Tensor, mask: Tensor) -> float:
    """kappa that clips about the given share of innovations, found by bisection on the filter itself."""
    if share == 0:
        return math.inf
    low, high = 1e-3, 1e3
    for _ in range(25):
        kappa = math.sqrt(low * high)
        clipped = float(filter_log_ratios(z, mask, q=Q, v=V, kappa=kappa).clipped.double().mean())
        low, high = (kappa, high) if clipped > share else (low, kappa)
    return math.sqrt(low * high)


def _row(rows: int, tokens: int, share: float, missing: float, device: torch.device) -> str:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4, rows, tokens, generator=generator)
    z = (0.05 * noise[0] / (noise[1:] ** 2).mean(0).sqrt()).to(device)  # student-t with 3 degrees of freedom
    mask = (torch.rand(rows, tokens, generator=generator) >= missing).to(device)
    kappa = _kappa_for(share, z, mask)
    gain = torch.from_numpy(gain_table(q=Q, v=V, length=tokens)).float().to(device)
    sigma = torch.from_numpy(sigma_table(q=Q, v=V, length=tokens)).float().to(device)
    # Written before it is read: pages that never were are all the same page of zeros, which stays in the cache.
    source = torch.ones(9 * rows * tokens, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    ones = torch.ones_like(z)

    def ours(through: bool) -> None:
        x = z.detach().requires_grad_(through)
        rho = filter_log_ratios(
            x, mask, q=Q, v=V, kappa=kappa, gradient="through" if through else "straight_through"
        ).rho
        if through:
            torch.autograd.grad(rho, x, ones)

    def loop(through: bool) -> None:
        x = z.detach().requires_grad_(through)
        with torch.set_grad_enabled(through):
            rho = _unbind_loop(x, mask, gain, kappa * sigma)
        if through:
            torch.autograd.grad(rho, x, ones)

    def summary() -> None:
        InnovationSummary.from_filter(filter_log_ratios(z, mask, q=Q, v=V, kappa=kappa), mask)

    floor = _seconds(lambda: target.copy_(source), device) / 2  # a copy moves 9 bytes in and 9 bytes out
    cells = [f"{rows:>5} x {tokens:<6}", f"{share:>7.1%}", f"{missing:>7.0%}", f"{1e3 * floor:>9.3f}"]
    for through in (False, True):
        mine = _seconds(lambda through=through: ours(through), device)
        theirs = _seconds(lambda through=through: loop(through), device)
        floors = (2 if through else 1) * floor
        cells += [f"{1e3 * mine:>10.2f}", f"{1e3 * theirs:>10.1f}", f"{theirs / mine:>7.1f}x", f"{mine / floors:>8.1f}"]
    cells.append(f"{1e3 * _seconds(summary, device):>9.2f}")
    return " ".join(cells)


def main() -> None:
    """Print one line for each size and share of clipped innovations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[64])
    parser.add_argument("--tokens", type=int, nargs="+", default=[64, 2048])
    parser.add_argument("--clipped", type=float, nargs="+", default=[0.0, 0.01], help="shares of clipped innovations")
    parser.add_argument("--missing", type=float, nargs="+", default=[0.0], help="shares of tokens that are holes")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads; times in ms")
    half = f"{'ours':>10} {'loop':>10} {'ratio':>8} {'x floor':>8}"
    print(f"{'':14} {'':7} {'':7} {'':>9} {'forward':>39} {'forward + backward':>39}")
    print(f"{'rows x tokens':14} {'clipped':>7} {'missing':>7} {'floor':>9} {half} {half} {'stats':>9}")
    for rows in arguments.rows:
        for tokens in arguments.tokens:
            for share in arguments.clipped:
                for missing in arguments.missing:
                    print(_row(rows, tokens, share, missing, device), flush=True)


if __name__ == "__main__":
    main()
