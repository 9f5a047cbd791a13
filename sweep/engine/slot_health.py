"""Whether a slot is fit for a trial's next step: its numbers are numbers, and its memory has not grown too much.

A slot's workers are children of Ray and not of the slot; what they share is an environment variable.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

NAMESPACE = "ISKPO_TRANSFER_QUEUE_NAMESPACE"
# A slot settles after its first trial; what then keeps growing is leaking, and would end in the kernel's out-of-memory
# killer, which takes whole studies.
_GROWTH = 1.5
# What is finite in every step of a trial that is learning anything. verl skips an update whose gradient is not finite
# and goes on, and a trial that does so to its end looks like one that finished.
_ALWAYS_FINITE = ("actor/pg_loss", "actor/loss", "actor/grad_norm", "actor/ppo_kl", "critic/score/mean")


class NotFiniteError(RuntimeError):
    """A training step gave NaN or infinity where only a number means anything."""


def check_finite(*, metrics: Mapping[str, Any], step: int) -> None:
    """Look at the numbers of a training step as verl gives them.

    Args:
        metrics: Name to value.
        step: The training step.

    Raises:
        NotFiniteError: Loss, gradient, divergence or reward is NaN or infinite.
    """
    sick = [name for name in _ALWAYS_FINITE if name in metrics and not math.isfinite(float(metrics[name]))]
    if sick:
        raise NotFiniteError(f"step {step}: " + ", ".join(f"{name} is {float(metrics[name])}" for name in sick))


def memory_of(namespace: str) -> int:
    """Bytes that a slot's processes on this machine take, shared pages counted once (PSS).

    Args:
        namespace: The slot's, as in its environment.
    """
    total = 0
    for process in psutil.process_iter():
        try:
            if process.environ().get(NAMESPACE) == namespace:
                total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return total


@dataclass
class SlotHealth:
    """Remembers what a slot took after its first trial.

    Attributes:
        namespace: The slot's.
        settled: Bytes after the first trial; None before.
    """

    namespace: str
    settled: int | None = None

    def complaint(self) -> str:
        """Why the slot should be replaced before its next trial, or "". Called between two trials."""
        now = memory_of(self.namespace)
        if self.settled is None:
            self.settled = now
            return ""
        if now <= _GROWTH * self.settled:
            return ""
        return f"its memory has grown from {self.settled / 1e9:.1f} to {now / 1e9:.1f} GB"
