"""What the IS-KPO loss costs beside verl's vanilla loss: the same batch, the same process, statistics included.

Both are called as verl calls them, forward and backward. The floor is the time to copy what any such loss must move:
three float32 inputs and the mask in, one float32 gradient out, 17 bytes a token.

    python benchmarks/loss_speed.py --rows 64 --tokens 8192
"""

import argparse
import math
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from verl.trainer.ppo.core_algos import get_policy_loss_fn

from iskpo import InnovationSummary, filter_log_ratios
from iskpo.verl import recorder
from iskpo.verl.config import KalmanPolicyLossConfig
from iskpo.verl.names import LOSS_MODE

_LIMIT = 1.5
_BYTES = 17


class _Actor(SimpleNamespace):
    """The part of verl's actor configuration that the two losses read."""

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self, name, default)


def _batch(rows: int, tokens: int, device: torch.device) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4, rows, tokens, generator=generator)
    z = 0.05 * noise[0] / (noise[1:] ** 2).mean(0).sqrt()  # student-t with 3 degrees of freedom
    old = -torch.rand(rows, tokens, generator=generator)
    lengths = torch.randint(tokens // 2, tokens + 1, (rows,), generator=generator)
    batch = {
        "old_log_prob": old,
        "log_prob": old + z,
        "advantages": torch.randn(rows, 1, generator=generator).expand(rows, tokens).contiguous(),
        "response_mask": torch.arange(tokens) < lengths[:, None],
    }
    return {name: value.to(device) for name, value in batch.items()}


def _interleaved(calls: dict[str, Callable[[], object]], device: torch.device, rounds: int) -> dict[str, float]:
    """Shortest seconds of each call, taken in turns: what else runs here then slows all of them alike."""
    best = dict.fromkeys(calls, math.inf)
    for round_number in range(rounds + 2):
        for name, call in calls.items():
            if device.type == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if round_number >= 2:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def _measure(rows: int, tokens: int, kappa: float, device: torch.device, rounds: int) -> str:
    batch = _batch(rows, tokens, device)
    parameters = KalmanPolicyLossConfig(q=1e-4, v=1e-2, kappa=kappa)
    actor = _Actor(
        policy_loss=parameters,
        clip_ratio=0.2,
        clip_ratio_low=0.0003,
        clip_ratio_high=0.0004,
        global_batch_info={"dp_size": 1, "global_batch_size": rows},
    )

    def loss(name: str) -> Tensor:
        log_prob = batch["log_prob"].detach().requires_grad_()
        value, _ = get_policy_loss_fn(name)(
            **{**batch, "log_prob": log_prob}, loss_agg_mode="seq-mean-token-mean", config=actor
        )
        value.backward()
        return value

    z, mask = batch["log_prob"] - batch["old_log_prob"], batch["response_mask"]
    filtered = filter_log_ratios(z, mask, q=parameters.q, v=parameters.v, kappa=kappa)
    source = torch.empty(_BYTES * rows * tokens // 2, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = _interleaved(
        {
            "floor": lambda: target.copy_(source),
            "vanilla": lambda: loss("vanilla"),
            "kalman": lambda: loss(LOSS_MODE),
            "filter": lambda: filter_log_ratios(z, mask, q=parameters.q, v=parameters.v, kappa=kappa),
            "statistics": lambda: InnovationSummary.from_filter(filtered, mask),
        },
        device,
        rounds,
    )
    recorder.collect()
    ratio = seconds["kalman"] / seconds["vanilla"]
    times = " ".join(f"{1e3 * seconds[name]:>10.2f}" for name in ("floor", "vanilla", "kalman", "filter", "statistics"))
    return f"{rows:>5} x {tokens:<6} {kappa:>5g} {times} {ratio:>6.2f}x {'met' if ratio <= _LIMIT else 'MISSED':>7}"


def main() -> None:
    """Print one line for each size and kappa."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[64])
    parser.add_argument("--tokens", type=int, nargs="+", default=[8192])
    parser.add_argument("--kappa", type=float, nargs="+", default=[3.0, math.inf])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads; shortest of {arguments.rounds}, ms")
    print("losses: forward and backward with everything they record; filter and statistics: their part of iskpo's")
    names = " ".join(f"{name:>10}" for name in ("floor", "vanilla", "iskpo", "filter", "statistics"))
    print(f"{'rows x tokens':14} {'kappa':>5} {names} {'ratio':>7} {f'<= {_LIMIT}':>7}")
    for rows in arguments.rows:
        for tokens in arguments.tokens:
            for kappa in arguments.kappa:
                print(_measure(rows, tokens, kappa, device, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
