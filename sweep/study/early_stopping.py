"""When a trial that falls behind is ended before its last step: the study's key, and what is compared.

.. code-block:: yaml

    early_stopping:
      method: asha          # or median
      metric: reward        # or accuracy (of the evaluations along the way), clip_fraction, realised_gain
      after: 2              # no trial is ended before this many steps
      keep: 3               # asha: one of so many goes on at each rung

*asha* (Li et al. 2020, arXiv 1810.05934) compares trials at the steps after, after x keep, after x keep^2, ...: a trial
that is not among the best 1/keep of those that got there ends. *median* (Golovin et al. 2017, Vizier) ends a trial
whose best value so far is below the median of the others' running means. Both are Ray Tune's schedulers. A study with
several objectives has no single best, so it cannot have this.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sweep.arms.objectives import DIRECTIONS, current_name, trial_objectives

Metric = Literal["reward", "accuracy", "clip_fraction", "realised_gain"]
# Names of Tune's results, which schedulers look at.
STEP, VALUE = "training_step", "early_stopping_value"
# The trainer's name for it; in MLflow it is reward/mean.
_REWARD = "critic/score/mean"


class EarlyStopping(BaseModel):
    """How trials that fall behind are ended.

    Attributes:
        method: ``asha`` or ``median``.
        metric: What is compared; by default the objective of the space, or accuracy.
        after: Training steps that every trial is given.
        keep: Of asha: one of so many trials goes on at each rung.
        others: Of median: trials that must have got as far before one is ended.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    method: Literal["asha", "median"]
    metric: Annotated[Metric, BeforeValidator(current_name)] | None = None
    after: Annotated[int, Field(ge=1)] = 1
    keep: Annotated[int, Field(ge=2, le=100)] = 3
    others: Annotated[int, Field(ge=1)] = 3


def higher_is_better(metric: Metric) -> bool:
    """Whether a trial with a larger value is ahead."""
    return metric == "reward" or DIRECTIONS[metric] == "maximize"


def value_of(metric: Metric, *, kind: str, metrics: Mapping[str, float]) -> float | None:
    """What one event of a trial says of the metric, or None.

    Args:
        metric: What is compared.
        kind: ``step`` or ``samples``.
        metrics: The metrics of the event, as the trainer reports them; of an evaluation, what its samples give.
    """
    if (metric == "accuracy") != (kind == "samples"):
        return None
    if metric == "reward":
        return metrics.get(_REWARD)
    objectives = trial_objectives(steps=[metrics], evaluation=metrics)
    value = objectives[metric]
    return value if value == value else None
