"""How fast a replay is, against calling the filter once for each setting, in the same run.

The unit is the token-setting: one token filtered under one setting, with all of the replay's statistics. The baseline
calls `filter_log_ratios` on the padded batch and computes clip fraction and gain alone, so the ratio flatters it.

    python benchmarks/replay_speed.py --tokens 1000000 --settings 10000
"""

import argparse
import os
import time

import numpy as np
import torch

from iskpo import filter_log_ratios
from iskpo.replay.refilter import ReplaySettings, _kernel, replay
from iskpo.replay.traces import Traces


def _traces(tokens: int, longest: int, *, ragged: bool) -> Traces:
    random = np.random.default_rng(0)
    lengths: list[int] = []
    while sum(lengths) < tokens:
        lengths.append(int(random.integers(longest // 4, longest + 1)) if ragged else longest)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    z = (0.05 * random.standard_t(3, size=int(offsets[-1]))).astype(np.float32)
    return Traces({}, [""] * len(lengths), np.zeros(len(lengths), np.float32), offsets, z)


def _baseline(traces: Traces, chosen: ReplaySettings, budget: float) -> float:
    """Token-settings a second of repeated calls of the filter."""
    lengths = np.diff(traces.offsets)
    mask = torch.from_numpy(np.arange(lengths.max())[None] < lengths[:, None])
    z = torch.zeros(mask.shape)
    z[mask] = torch.from_numpy(traces.z)
    done, start = 0, 0.0
    for index in range(len(chosen)):
        if index == 1:  # the first call warms up
            start = time.perf_counter()
        result = filter_log_ratios(
            z, mask, q=float(chosen.q[index]), v=float(chosen.v[index]), kappa=float(chosen.kappa[index])
        )
        float(result.clipped.sum()), float(result.gain.sum())
        done += index > 0
        if index > 0 and time.perf_counter() - start > budget:
            break
    return done * traces.tokens / (time.perf_counter() - start)


def main() -> None:
    """Print one line for each kind of trace."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--settings", type=int, default=10_000, help="rounded to a square grid of gain x threshold")
    parser.add_argument("--longest", type=int, default=2048, help="tokens of the longest sequence")
    arguments = parser.parse_args()
    side = max(2, round(arguments.settings**0.5))
    chosen = ReplaySettings.grid(gain=np.geomspace(1e-4, 0.9, side), threshold=np.geomspace(1e-2, 3, side))
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, {_kernel().__name__}; {len(chosen)} settings, sequences of up to {arguments.longest} tokens")
    print(f"{'trace':22} {'seconds':>8} {'token-settings/s':>17} {'repeated filter':>16} {'ratio':>8}")
    for name, ragged in (("equal lengths", False), ("lengths 1/4 to 1", True)):
        traces = _traces(arguments.tokens, arguments.longest, ragged=ragged)
        replay(traces, settings=ReplaySettings.of(q=[1e-4], v=1e-2))  # compiles
        start = time.perf_counter()
        replay(traces, settings=chosen)
        seconds = time.perf_counter() - start
        ours, theirs = traces.tokens * len(chosen) / seconds, _baseline(traces, chosen, 3.0)
        print(f"{name:22} {seconds:>8.2f} {ours:>17.3g} {theirs:>16.3g} {ours / theirs:>7.0f}x", flush=True)


if __name__ == "__main__":
    main()
