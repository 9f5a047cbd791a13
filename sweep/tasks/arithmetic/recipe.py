"""How the model is taught, without what teaches it: whoever only reads the cache does not wait for torch."""

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int, float], None]
"""Called as ``progress(step, max_steps, solved)`` after every step; ``solved`` is the mean share over the window."""


@dataclass(frozen=True)
class Recipe:
    """How the model is taught. The defaults leave 30 to 60 % of the held-out problems right at temperature 1."""

    target_solved: float = 0.42  # a little under the aim of 45 %: the mean over the window lags behind the model
    settle_solved: float = 0.15  # from here on the learning rate is multiplied by settle_factor
    settle_factor: float = 0.2
    window: int = 10  # batches over which the share of solved problems is averaged
    max_steps: int = 600
    batch_size: int = 32
    learning_rate: float = 3e-3
    warmup_steps: int = 40
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    max_gradient_norm: float = 1.0
    head_room_samples: int = 200  # held-out problems answered once each afterwards, for the note to the user

    def rate(self, *, step: int, settling: bool) -> float:
        """Learning rate at ``step`` (from 0): linear warm-up, then linear decay to 0 at ``max_steps``."""
        fraction = min((step + 1) / self.warmup_steps, 1 - step / self.max_steps)
        return self.learning_rate * fraction * (self.settle_factor if settling else 1.0)
