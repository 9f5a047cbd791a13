"""How much a study may spend in all, over every time it was resumed: trials, training steps, hours.

.. code-block:: yaml

    budget:
      trials: 40       # begun
      steps: 2000      # of training, of all trials
      hours: 12        # of all trials, added up: two slots spend two in one

Once any of them is spent no further trial begins; those that run finish. What did not begin is not a failure, and
`iskpo-sweep resume --extend` with a larger budget goes on.
"""

import time
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sweep.input.schema_errors import Place


class Budget(BaseModel):
    """Limits of a study; null for none.

    Attributes:
        trials: Trials that begin.
        steps: Training steps, of all trials.
        hours: Hours of all trials, added up.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    trials: Annotated[int, Field(ge=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    def problems(self) -> list[tuple[Place, str]]:
        """A budget that limits nothing."""
        if self.trials is None and self.steps is None and self.hours is None:
            return [((), "says no limit: give trials, steps or hours")]
        return []


@dataclass
class Spent:
    """What a study has used.

    Attributes:
        trials: Trials that have ended.
        steps: Training steps of trials that have ended.
        seconds: Of trials that have ended.
        running: Trials that run: when each began, by this process's clock, and its steps so far.
    """

    trials: int = 0
    steps: int = 0
    seconds: float = 0.0
    running: dict[str, tuple[float, int]] = field(default_factory=dict)

    def begin(self, key: str) -> None:
        """A trial begins, or begins again: what an attempt before had done does not stand."""
        self.running[key] = (time.monotonic(), 0)

    def resume(self, key: str, seconds: float) -> None:
        """It goes on from a checkpoint, at which it had trained so long."""
        began, steps = self.running[key]
        self.running[key] = (began - seconds, steps)

    def step(self, key: str) -> None:
        """A training step of it ended."""
        began, steps = self.running[key]
        self.running[key] = (began, steps + 1)

    def end(self, key: str) -> None:
        """It ended."""
        began, steps = self.running.pop(key)
        self.trials, self.steps, self.seconds = (
            self.trials + 1,
            self.steps + steps,
            self.seconds + time.monotonic() - began,
        )

    def exhausts(self, budget: Budget) -> str:
        """Which limit is reached by what has ended and what runs, in words, or ""."""
        trials = self.trials + len(self.running)
        steps = self.steps + sum(steps for _, steps in self.running.values())
        hours = (self.seconds + sum(time.monotonic() - began for began, _ in self.running.values())) / 3600
        if budget.trials is not None and trials >= budget.trials:
            return f"{trials} of {budget.trials} trials"
        if budget.steps is not None and steps >= budget.steps:
            return f"{steps} of {budget.steps} training steps"
        if budget.hours is not None and hours >= budget.hours:
            return f"{hours:.2g} of {budget.hours:g} hours"
        return ""
