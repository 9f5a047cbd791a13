"""The tables that a trial leaves of its innovations: in bins, and as moments by mini-batch update and class of tokens.

They come as hundreds of metrics a step, which would slow MLflow's pages down, so they are artifacts of the trial's run.
"""

import pandas as pd

from iskpo import innovation_histogram, innovation_moments
from iskpo.innovation_histogram import bin_bounds
from iskpo.innovation_moments import CLASS_BOUNDS, FIELDS

_PREFIXES = (innovation_histogram.METRIC_PREFIX, innovation_moments.METRIC_PREFIX)
_COUNTS = ("tokens", "clipped")


def kept_apart(metrics: dict[str, float]) -> dict[str, float]:
    """Those metrics of a training step that the tables are made of."""
    return {name: value for name, value in metrics.items() if name.startswith(_PREFIXES)}


def innovation_tables(steps: dict[int, dict[str, float]]) -> dict[str, pd.DataFrame]:
    """The tables by name, of which those without a row are left out.

    Args:
        steps: Training step to what `kept_apart` returned.

    Returns:
        ``histogram``, one row a training step and bin that holds anything: step; lower (included) and upper (excluded),
        the bin's exact bounds of |innovation| / sigma, infinity for the last bin's upper; tokens.
        ``moments``, one row a training step, update and class that holds anything: step; update; pi_old_from
        (included) and pi_old_to, the class's bounds of the probability that the old policy gave the token; and
        `iskpo.innovation_moments.FIELDS`.
    """
    tables = {"histogram": _histogram(steps), "moments": _moments(steps)}
    return {name: table for name, table in tables.items() if len(table)}


def _histogram(steps: dict[int, dict[str, float]]) -> pd.DataFrame:
    prefix = innovation_histogram.METRIC_PREFIX
    rows = []
    for step in sorted(steps):
        counts = {int(n.removeprefix(prefix)): int(v) for n, v in steps[step].items() if n.startswith(prefix)}
        rows += [(step, *bin_bounds(index), count) for index, count in sorted(counts.items())]
    return pd.DataFrame(rows, columns=["step", "lower", "upper", "tokens"])


def _moments(steps: dict[int, dict[str, float]]) -> pd.DataFrame:
    prefix = innovation_moments.METRIC_PREFIX
    rows: dict[tuple[int, int, int], dict[str, float]] = {}
    for step, metrics in steps.items():
        for name, value in metrics.items():
            if name.startswith(prefix):
                update, place, field = name.removeprefix(prefix).split("/")
                rows.setdefault((step, int(update), int(place)), {})[field] = value
    table = pd.DataFrame(
        [
            {
                "step": step,
                "update": update,
                "pi_old_from": CLASS_BOUNDS[place],
                "pi_old_to": CLASS_BOUNDS[place + 1],
                **rows[step, update, place],
            }
            for step, update, place in sorted(rows)
        ],
        columns=["step", "update", "pi_old_from", "pi_old_to", *FIELDS],
    )
    return table.astype({name: "int64" for name in _COUNTS if len(table)})
