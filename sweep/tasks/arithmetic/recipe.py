"""What model is made and how it is taught, without what does it: reading the cache is not to wait for torch."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sweep.tasks.arithmetic.series import LONGEST

Progress = Callable[[int, int, float], None]
"""Called as ``progress(step, max_steps, reproduced)`` after every step; see `sweep.tasks.arithmetic.teach.Lesson`."""


class Recipe(BaseModel):
    """What is made. The defaults leave 20 to 35 % of the held-out problems right at temperature 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    series: Annotated[int, Field(ge=1, le=LONGEST)] = 1  # problems in a prompt; 20 make a response of 1,200 tokens
    hidden_size: Annotated[int, Field(ge=64, multiple_of=64)] = 128
    layers: Annotated[int, Field(ge=1)] = 4
    device: Literal["cpu", "cuda"] = "cpu"  # where it is taught
    slips: Annotated[float, Field(ge=0, lt=1)] = 0.35  # chance that a lesson forgets a carry: the head-room
    max_steps: int = 350
    target: float | None = None  # teaching ends before max_steps once such a share of lessons is reproduced
    window: int = 10  # batches over which the share of reproduced lessons is averaged
    batch_size: int = 32
    learning_rate: float = 3e-3
    warmup_steps: int = 40
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    max_gradient_norm: float = 1.0
    # Held-out problems answered once each afterwards, for the note to the user; 0 for what teaching itself measured.
    head_room_samples: int = 200

    def rate(self, *, step: int) -> float:
        """Learning rate at ``step`` (from 0): linear warm-up, then linear decay to 0 at ``max_steps``."""
        return self.learning_rate * min((step + 1) / self.warmup_steps, 1 - step / self.max_steps)
