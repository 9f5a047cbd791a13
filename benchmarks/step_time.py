"""A training step of the product beside a plain loop's on the same work, phase by phase.

The product: verl, vLLM, Ray and the IS-KPO loss, one warm trial of the profile tiny as `iskpo-sweep run` starts it. The
baseline: `benchmarks/plain_loop.py`, transformers' generation and AdamW in one process, with one thread and with two.
Both sample 24 prompts 8 times and update four times; the first two steps of each are left out.

    python benchmarks/step_time.py --steps 10

Nothing else may run beside it: the baseline of two threads has them wait for each other.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

import torch
from plain_loop import Loop, Sizes, parse_arm

from sweep.tasks.arithmetic.prepare import prepare
from sweep.tasks.registry import cache_folder

_IGNORED = 2
_STUDY = """\
name: step-time
profile: tiny
space:
  kind: arms
  arms: [{{name: kpo-strong, q: 1.0e-6, v: 1}}]
steps: {steps}
eval: {{samples: 1, untrained: false}}
overrides:
  data.train_batch_size: 24
  actor_rollout_ref.rollout.n: 8
  actor_rollout_ref.actor.ppo_mini_batch_size: 6
"""
# The same phases by the names of both.
_OF_VERL = {"sampling": "gen", "old log-probabilities": "old_log_prob", "update": "update_actor"}


def _product(folder: Path, *, steps: int) -> dict[str, float]:
    """Median seconds of each phase, and of what the step has beside them."""
    study = folder / "step-time.yaml"
    study.write_text(_STUDY.format(steps=steps), encoding="utf-8")
    program = Path(sys.executable).with_name("iskpo-sweep")
    subprocess.run([str(program), "run", str(study), "--output", str(folder / "out"), "--quiet"], check=True)
    (events,) = (folder / "out" / "trials").glob("*/attempt_01/events.jsonl")
    told = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
    rows = [one["metrics"] for one in told if one["kind"] == "step"][_IGNORED:]
    found = {phase: median(row[f"timing_s/{name}"] for row in rows) for phase, name in _OF_VERL.items()}
    whole = median(row["timing_s/step"] for row in rows)
    return {**found, "the rest": whole - sum(found.values())}


def _plain(*, steps: int, threads: int) -> dict[str, float]:
    """Median seconds of each phase of the plain loop."""
    torch.set_num_threads(threads)
    task = prepare(cache=cache_folder())
    loop = Loop(task=task, arm=parse_arm("1e-6,1,inf"), bounds=(3e-4, 4e-4), lr=5e-5, sizes=Sizes(), seed=0)
    rows = []
    for _ in range(steps):
        before = Counter(loop.seconds)
        loop.step()
        rows.append({phase: loop.seconds[phase] - before[phase] for phase in _OF_VERL})
    return {**{phase: median(row[phase] for row in rows[_IGNORED:]) for phase in _OF_VERL}, "the rest": 0.0}


def main() -> None:
    """Measure all three and print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory(prefix="iskpo-step-") as folder:
        product = _product(Path(folder), steps=steps)
    columns = [product, _plain(steps=steps, threads=1), _plain(steps=steps, threads=2)]
    print(f"seconds a step, {os.cpu_count()} CPUs, median of {steps - _IGNORED} steps\n")
    print("| phase | product | plain loop, one thread | plain loop, two threads |\n| --- | --- | --- | --- |")
    for phase in product:
        print(f"| {phase} | " + " | ".join(f"{column[phase]:.2f}" for column in columns) + " |")
    sums = [sum(column.values()) for column in columns]
    print("| **a step** | " + " | ".join(f"**{one:.2f}**" for one in sums) + " |")
    ratios = f"{sums[0] / sums[2]:.2f} x the plain loop of two threads, {sums[0] / sums[1]:.2f} x that of one"
    print(f"\nThe product takes {ratios}.")


if __name__ == "__main__":
    main()
