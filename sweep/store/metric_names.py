"""Which of the trainer's metrics are kept in MLflow, and what people find them under."""

import math

from iskpo.innovation_histogram import FILTER_METRICS
from sweep.store.trial_tables import UNTRAINED

# verl's names on the left; what people browse on the right. Everything else that is kept, is kept under its own name.
_RENAMED = {
    "critic/score/mean": "reward/mean",
    "critic/score/max": "reward/max",
    "critic/score/min": "reward/min",
}
_KEPT = (
    *FILTER_METRICS,
    "actor/",
    "loss/",
    "advantage/",
    "reward/",
    "response_length/",
    "timing_s/",
    "eval/",
    UNTRAINED,
    "rollout_corr/",
    "training/filter_groups/",
    "objective/",
    "replay/",
)


def browsable(metrics: dict[str, float]) -> dict[str, float]:
    """The metrics that are kept, under the names that people browse; NaN and infinity are none."""
    renamed = {_RENAMED.get(name, name): value for name, value in metrics.items()}
    return {name: value for name, value in renamed.items() if name.startswith(_KEPT) and math.isfinite(value)}
