"""How much memory a slot takes, and whether it has grown so much that a fresh one is better.

A slot's workers are children of Ray and not of the slot; what they share is an environment variable.
"""

from dataclasses import dataclass

import psutil

NAMESPACE = "ISKPO_TRANSFER_QUEUE_NAMESPACE"
# A slot settles after its first trial; what then keeps growing is leaking, and would end in the kernel's out-of-memory
# killer, which takes whole studies.
_GROWTH = 1.5


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
