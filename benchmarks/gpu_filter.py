"""The GPU kernels of the filter: right against float64, and how near to the speed of the device's memory.

For each shape, share of clipped innovations and kind of mask, every row is checked against a float64 loop over tokens,
forward and backward, and then timed in the same run against
- the floor: the time to move the 9 bytes a token that any filter must (float32 z in, mask in, float32 rho out), once
  for forward and once more for backward, at the speed of a copy. The kernels move 14 (clip flag and innovation come
  out too) and 10;
- the PyTorch loop anyone would write, over `z.unbind(1)`, with autograd;
- the public cumsum formula (`iskpo.public_numerics`), which cannot clip, with autograd.

Kernels and copies are captured in a CUDA graph over as many batches as exceed the cache, so that neither Python nor
cached data is measured; loop and formula are called as they are, and so is what stands under "called".

    python benchmarks/gpu_filter.py                # exit status 2 without a CUDA device, 1 if a result is wrong
    python benchmarks/gpu_filter.py --interpret    # small shapes by Triton's interpreter on a CPU: checks, no times
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from iskpo import gain_table, sigma_table
from iskpo.public_numerics import public_filter

Q, V = 1e-4, 1e-2
SHAPES = ((512, 8192), (512, 32768))
INTERPRETED_SHAPES = ((2, 600),)
CASES = ((0.0, 0.0), (0.01, 0.0), (0.2, 0.0), (0.01, 0.2))  # share of innovations clipped, share of tokens missing
TOLERANCE = 1e-5
_MORE_THAN_CACHE = 256 * 2**20
_PARAMETERS_OF_4B_MODEL = 4e9


class Problem(NamedTuple):
    """A batch and its tables (float64, indexed by observed count)."""

    z: Tensor
    observed: Tensor
    gradient: Tensor
    gain: Tensor
    threshold: Tensor | None


def _problem(rows: int, tokens: int, clipped: float, missing: float, device: str) -> Problem:
    from iskpo import triton_scan

    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(5, rows, tokens, generator=generator)
    z = 0.05 * noise[0] / (noise[1:4] ** 2).mean(0).sqrt()  # student-t with 3 degrees of freedom
    observed = torch.rand(rows, tokens, generator=generator) >= missing
    gain, sigma = (
        torch.nn.functional.pad(torch.from_numpy(table(q=Q, v=V, length=tokens)), (1, 0)).to(device)
        for table in (gain_table, sigma_table)
    )
    problem = Problem(*(x.to(device) for x in (z, observed, noise[4])), gain=gain, threshold=None)
    if clipped == 0:
        return problem
    low, high = 1e-3, 1e3
    for _ in range(15):
        kappa = math.sqrt(low * high)
        flags = triton_scan.saturated_filter(problem.z, problem.observed, gain=gain, threshold=kappa * sigma, rho0=0.0)[
            1
        ]
        low, high = (kappa, high) if flags.sum() > clipped * observed.sum() else (low, kappa)
    return problem._replace(threshold=math.sqrt(low * high) * sigma)


def _loop(z: Tensor, problem: Problem) -> tuple[Tensor, Tensor]:
    """rho and innovation token by token, in z's type."""
    seen = problem.observed.cumsum(1)
    limit = torch.full_like(problem.gain, math.inf) if problem.threshold is None else problem.threshold
    rho = torch.zeros_like(z[:, 0])
    rhos, innovations = [], []
    for measured, present, weight, bound in zip(
        z.unbind(1),
        problem.observed.unbind(1),
        problem.gain.to(z.dtype)[seen].unbind(1),
        limit.to(z.dtype)[seen].unbind(1),
        strict=True,
    ):
        innovation = measured - rho
        rho = torch.where(present, rho + weight * innovation.clamp(-bound, bound), rho)
        rhos.append(rho)
        innovations.append(innovation)
    return torch.stack(rhos, 1) * problem.observed, torch.stack(innovations, 1).detach() * problem.observed


def _forward(problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    from iskpo import triton_scan

    return triton_scan.saturated_filter(
        problem.z, problem.observed, gain=problem.gain, threshold=problem.threshold, rho0=0.0
    )[:3]


def _backward(problem: Problem, clipped: Tensor) -> Tensor:
    from iskpo import triton_scan

    return triton_scan.filter_adjoint(problem.gradient, problem.observed, clipped, gain=problem.gain)


def _check(problem: Problem) -> tuple[str, bool]:
    """Largest errors as a share of each row's largest value, and clip flags that rounding does not explain."""
    z = problem.z.double().requires_grad_()
    expected, innovation = _loop(z, problem)
    (expected_gradient,) = torch.autograd.grad(expected, z, problem.gradient.double())
    seen = problem.observed.cumsum(1)
    limit = math.inf if problem.threshold is None else problem.threshold[seen]
    flags = (innovation.abs() > limit) & problem.observed

    rho, clipped, found_innovation = _forward(problem)
    gradient = _backward(problem, flags)
    errors = [
        ((found - right).abs().amax(1) / right.abs().amax(1)).max().item()
        for found, right in ((rho, expected), (found_innovation, innovation), (gradient, expected_gradient))
    ]
    near = (innovation.abs() - limit).abs() <= 1e-6 * problem.z.abs().amax(1, keepdim=True)
    wrong = int(((clipped != flags) & ~near).sum())
    text = (
        f"{float(flags.sum() / problem.observed.sum()):8.2%}" + "".join(f" {e:9.1e}" for e in errors) + f" {wrong:6d}"
    )
    return text, max(errors) <= TOLERANCE and wrong == 0


def _graph_seconds(calls: list[Callable[[], object]]) -> float:
    """Seconds a call on the device, shortest of 20 replays of all calls, whose results are kept apart in memory."""
    calls[0]()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [call() for call in calls]
    times = []
    for _ in range(20):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return min(times) / len(kept)


def _called_seconds(call: Callable[[], object], repeats: int) -> float:
    """Shortest time of a call from Python to the device's end of work."""
    call()
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def _copy_floor(rows: int, tokens: int) -> float:
    """Seconds to move 9 bytes a token: a copy of that many moves them twice."""
    size = 9 * rows * tokens
    sources = [torch.zeros(size, dtype=torch.uint8, device="cuda") for _ in range(_batches(rows, tokens))]
    return _graph_seconds([source.clone for source in sources]) / 2


def _batches(rows: int, tokens: int) -> int:
    return math.ceil(_MORE_THAN_CACHE / (4 * rows * tokens))


def _times(problem: Problem, floor: float) -> tuple[str, float]:
    copies = [
        problem._replace(z=problem.z.clone(), observed=problem.observed.clone(), gradient=problem.gradient.clone())
        for _ in range(_batches(*problem.z.shape))
    ]
    flags = [_forward(copy)[1] for copy in copies]
    forward = _graph_seconds([lambda copy=copy: _forward(copy) for copy in copies])
    backward = _graph_seconds([lambda c=c, f=f: _backward(c, f) for c, f in zip(copies, flags, strict=True)])
    called = _called_seconds(lambda: _backward(problem, _forward(problem)[1]), 20)

    def differentiated(run: Callable[[Tensor], Tensor]) -> None:
        z = problem.z.detach().requires_grad_()
        run(z).backward(problem.gradient)

    with torch.no_grad():
        loop = _called_seconds(lambda: _loop(problem.z, problem), 2)
    loop_both = _called_seconds(lambda: differentiated(lambda z: _loop(z, problem)[0]), 2)
    public = "-".rjust(17)
    if problem.threshold is None:
        options = {"q": Q, "v": V, "kappa": math.inf, "p0": 0.0, "rho0": 0.0}
        with torch.no_grad():
            alone = _called_seconds(lambda: public_filter(problem.z, problem.observed, **options), 20)
        both = _called_seconds(lambda: differentiated(lambda z: public_filter(z, problem.observed, **options)[0]), 20)
        public = f"{1e6 * alone:8.0f} {1e6 * both:8.0f}"
    total = forward + backward
    text = (
        f"{1e6 * forward:8.1f} {forward / floor:6.2f}x {1e6 * total:8.1f} {total / (2 * floor):6.2f}x"
        f" {1e6 * called:8.1f} {1e6 * loop:10.0f} {1e6 * loop_both:10.0f} {loop_both / called:8.0f}x {public}"
    )
    return text, total


def _matmul_rate() -> float:
    """bf16 operations a second, the most a training step could use of this device."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    return 2 * 8192**3 / _called_seconds(lambda: a @ a, 20)


def main() -> int:
    """Print one line for each shape and case; see the top of the file for the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interpret", action="store_true", help="check small shapes on a CPU instead")
    interpret = parser.parse_args().interpret
    if not interpret and not torch.cuda.is_available():
        print(
            "no CUDA device: nothing was measured or checked (--interpret checks small shapes on a CPU)",
            file=sys.stderr,
        )
        return 2
    if interpret:
        os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported, which is why that happens in functions
    device = "cpu" if interpret else "cuda"
    where = "Triton's interpreter" if interpret else torch.cuda.get_device_name()
    print(f"torch {torch.__version__}, {where}; Q={Q}, V={V}")
    print("errors against float64 as a share of each row's largest; times in us; floor: 9 bytes a token and way")
    head = f"{'rows x tokens':14} {'missing':>7} {'clipped':>8} {'rho':>9} {'innov.':>9} {'gradient':>9} {'flags':>6}"
    times = f" | {'floor':>7} {'forward':>8} {'':7} {'+ backw.':>8} {'':7} {'called':>8}"
    times += f" {'loop':>10} {'+ backw.':>10} {'/ called':>9} {'public':>8} {'+ backw.':>8}"
    print(head if interpret else head + times)
    right = True
    for rows, tokens in INTERPRETED_SHAPES if interpret else SHAPES:
        floor = math.nan if interpret else _copy_floor(rows, tokens)
        for share, missing in CASES:
            problem = _problem(rows, tokens, share, missing, device)
            checked, good = _check(problem)
            right &= good
            line = f"{rows:>5} x {tokens:<6} {missing:7.0%} {checked}"
            if interpret:
                print(line, flush=True)
                continue
            timed, total = _times(problem, floor)
            print(f"{line} | {1e6 * floor:7.1f} {timed}", flush=True)
        if not interpret:
            step = 6 * _PARAMETERS_OF_4B_MODEL * rows * tokens / _matmul_rate()
            print(
                f"      filter, both ways: {total / step:.1e} of a 4B model's step, were that {step:.1f} s at bf16 peak"
            )
    if not right:
        print(f"WRONG: an error above {TOLERANCE} or a clip flag that rounding does not explain", file=sys.stderr)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
