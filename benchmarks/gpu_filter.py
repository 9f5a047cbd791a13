"""The GPU kernels of the filter: right against float64, and how near to the speed of the device's memory.

For each shape, share of clipped innovations and kind of mask, every row is checked against a float64 loop over tokens,
forward and backward, and then timed in the same run against
- the floor: the time to move the 9 bytes a token that any filter must (float32 z in, mask in, float32 rho out), once
  for forward and once more for backward, at the speed of a copy. The kernels move 10 each way, because the clip flags
  are written and read again; 'moved' is the ratio to the time for those 20, and cannot be below 1;
- the PyTorch loop anyone would write, over `z.unbind(1)`, with autograd; called once, at 1 % clipped;
- the public cumsum formula (`iskpo.published.public_numerics`), which cannot clip, with autograd.

Kernels and copies are captured in a CUDA graph over as many batches as exceed the cache, so that neither Python nor
cached data is measured; loop and formula are called as they are, and so is what stands under "called". Last, the whole
loss is timed beside a training step, as `gpu_loss.py` explains.

    python benchmarks/gpu_filter.py                # exit status 2 without a CUDA device, 1 if a result is wrong
    python benchmarks/gpu_filter.py --tune         # instead: which tiles suit this device
    python benchmarks/gpu_filter.py --interpret    # small shapes by Triton's interpreter on a CPU: checks, no times
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gpu_loss
import gpu_tune
import torch
from gpu_problem import FLOOR_BYTES, Problem, Q, V, backward, forward, kernel_seconds, loop, plain, problem
from gpu_timing import batches, called_seconds, copy_seconds, matmul_rate
from torch import Tensor

from iskpo.published.public_numerics import public_filter

SHAPES = ((512, 8192), (512, 32768))
INTERPRETED_SHAPES = ((2, 600),)
CASES = ((0.0, 0.0), (0.01, 0.0), (0.2, 0.0), (0.01, 0.2))  # share of innovations clipped, share of tokens missing
MOVED_BYTES = 10  # a token and way
TARGETS = {8192: 2.5, 32768: 1.5}  # times the floor
TOLERANCE = 1e-5


def check(given: Problem) -> dict[str, Any]:
    """Largest errors as a share of each row's largest value, and clip flags that rounding does not explain."""
    expected = plain(given)
    found = forward(given)
    pairs = {
        "rho": (found.rho, expected.rho),
        "innovation": (found.innovation(), expected.innovation),
        "gradient": (backward(given, expected.clipped, found.counts), expected.gradient),
    }
    errors = {
        name: float(((one - right).abs().amax(1) / right.abs().amax(1)).max()) for name, (one, right) in pairs.items()
    }
    near = (expected.innovation.abs() - expected.limit).abs() <= 1e-6 * given.z.abs().amax(1, keepdim=True)
    wrong = int(((found.clipped != expected.clipped) & ~near).sum())
    counted = bool((found.counts == given.observed.sum(1)).all())
    return {
        "clipped": float(expected.clipped.sum() / given.observed.sum()),
        "errors": errors,
        "wrong_flags": wrong,
        "right": max(errors.values()) <= TOLERANCE and wrong == 0 and counted,
    }


def called(given: Problem, run: Callable[[Tensor], Tensor], repeats: int, *, warm: bool = True) -> list[float]:
    """Seconds of a differentiable filter, forward alone and with its gradient."""

    def differentiated() -> None:
        z = given.z.detach().requires_grad_()
        run(z).backward(given.gradient)

    with torch.no_grad():
        alone = called_seconds(lambda: run(given.z), repeats, warm=warm)
    return [alone, called_seconds(differentiated, repeats, warm=warm)]


def timed(given: Problem, floor: float) -> dict[str, Any]:
    """Times of one case, and of what it is compared with where that is called."""
    found = forward(given)
    once, back = kernel_seconds(given)
    times: dict[str, Any] = {
        "floor": floor,
        "forward": once,
        "backward": back,
        "forward_to_floor": once / floor,
        "backward_to_floor": back / floor,
        "both_to_floor": (once + back) / (2 * floor),
        "both_to_moved": (once + back) / (2 * floor) * FLOOR_BYTES / MOVED_BYTES,
        "called": called_seconds(lambda: backward(given, forward(given).clipped, found.counts), 20),
    }
    if given.threshold is None:
        options = {"q": Q, "v": V, "p0": 0.0, "rho0": 0.0}
        times["public"] = called(given, lambda z: public_filter(z, given.observed, **options)[0], 10)
    return times


def line(record: dict[str, Any]) -> str:
    """One line of the table."""
    errors = " ".join(f"{error:8.1e}" for error in record["errors"].values())
    text = f"{record['rows']:>4} x {record['tokens']:<6} {record['missing']:7.0%} {record['clipped']:8.2%} {errors}"
    text += f" {record['wrong_flags']:5d}"
    if "floor" not in record:
        return text
    text += f" | {1e6 * record['floor']:6.1f}"
    for name in ("forward", "backward"):
        text += f" {1e6 * record[name]:8.1f} {record[name + '_to_floor']:5.2f}x"
    text += f" {record['both_to_floor']:5.2f}x {record['both_to_moved']:5.2f}x {1e6 * record['called']:7.0f}"
    return text + "".join(
        f"  {name} {1e3 * record[name][0]:.1f} ms, with backward {1e3 * record[name][1]:.1f} ms"
        f" ({record[name][1] / record['called']:.0f}x called)"
        for name in ("loop", "public")
        if name in record
    )


def run(shapes: tuple[tuple[int, int], ...], device: str) -> dict[str, Any]:
    """Check and, on a GPU, time every case."""
    records = []
    head = f"{'rows x tokens':13} {'missing':>7} {'clipped':>8} {'rho':>8} {'innov.':>8} {'gradient':>8} {'flags':>5}"
    times = f" | {'floor':>6} {'forward':>8} {'':6} {'backward':>8} {'':6} {'both':>6} {'moved':>6} {'called':>7}"
    print(head + times * (device == "cuda"))
    if device == "cuda":
        called(small := problem(8, 64, 0.01, 0.0, device), lambda z: loop(z, small), 1)
    for rows, tokens in shapes:
        floor = copy_seconds(FLOOR_BYTES * rows * tokens, batches(rows, tokens)) if device == "cuda" else math.nan
        for share, missing in CASES:
            given = problem(rows, tokens, share, missing, device)
            record = {"rows": rows, "tokens": tokens, "missing": missing, **check(given)}
            if device == "cuda":
                record |= timed(given, floor)
                record["target"] = TARGETS[tokens]
                if (share, missing) == CASES[1]:
                    record["loop"] = called(given, partial(loop, given=given), 1, warm=False)
            records.append(record)
            print(line(record), flush=True)
    results: dict[str, Any] = {"cases": records}
    if device == "cuda":
        for record in records:
            verdicts = ", ".join(
                f"{name} {record[name + '_to_floor']:.2f}x"
                f" {'met' if record[name + '_to_floor'] <= record['target'] else 'MISSED'}"
                for name in ("forward", "backward", "both")
            )
            case = f"{record['clipped']:.0%} clipped, {record['missing']:.0%} missing"
            print(f"target <= {record['target']}x at {record['rows']} x {record['tokens']}, {case}: {verdicts}")
        rate = matmul_rate()
        results |= {"operations_a_second": rate, "loss": [gpu_loss.timed(*shape, rate) for shape in gpu_loss.SHAPES]}
        print(f"the loss with its statistics, at most, of a 4B model's step at {rate / 1e12:.0f} TFLOP/s, <= 1 %:")
        for one in results["loss"]:
            print(
                f"{one['rows']:>4} x {one['tokens']:<6} {1e3 * one['loss_seconds']:7.2f} ms"
                f" of {one['step_seconds']:8.3f} s: {one['share']:.4%}"
            )
    return results


def main() -> int:
    """See the top of the file for what is printed and the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interpret", action="store_true", help="check small shapes on a CPU instead")
    parser.add_argument("--tune", action="store_true", help="time tiles instead")
    parser.add_argument("--output", type=Path, help="write all numbers to this file, as JSON")
    arguments = parser.parse_args()
    if not arguments.interpret and not torch.cuda.is_available():
        print(
            "no CUDA device: nothing was measured or checked (--interpret checks small shapes on a CPU)",
            file=sys.stderr,
        )
        return 2
    if arguments.interpret:
        os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported, which is why that happens in functions
    where = "Triton's interpreter" if arguments.interpret else torch.cuda.get_device_name()
    print(f"torch {torch.__version__}, {where}; Q={Q}, V={V}")
    print("errors: share of each row's largest; times in us; floor: 9 bytes a token and way")
    if arguments.tune:
        results = gpu_tune.run(SHAPES)
    else:
        shapes = INTERPRETED_SHAPES if arguments.interpret else SHAPES
        results = run(shapes, "cpu" if arguments.interpret else "cuda")
    if arguments.output:
        arguments.output.write_text(
            json.dumps({"torch": torch.__version__, "device": where, **results}, indent=1), encoding="utf-8"
        )
    if all(record["right"] for record in results["cases"]):
        return 0
    print(f"WRONG: an error above {TOLERANCE} or a clip flag that rounding does not explain", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
