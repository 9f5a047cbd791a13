"""From the histogram that travels among a step's metrics to one tidy table a trial."""

import pandas as pd

from iskpo.innovation_histogram import METRIC_PREFIX, bin_bounds

Histograms = dict[int, dict[int, int]]


def bin_counts(metrics: dict[str, float]) -> dict[int, int]:
    """Tokens by bin, from the metrics of one training step; empty without a histogram among them."""
    return {
        int(name.removeprefix(METRIC_PREFIX)): int(value)
        for name, value in metrics.items()
        if name.startswith(METRIC_PREFIX)
    }


def histogram_table(histograms: Histograms) -> pd.DataFrame:
    """One row a training step and bin that holds anything, in their order.

    Args:
        histograms: Training step to bin to tokens.

    Returns:
        step; lower (included) and upper (excluded), the bin's exact bounds of |innovation| / sigma, infinity for the
        last bin's upper; tokens.
    """
    rows = [
        (step, *bin_bounds(index), count)
        for step in sorted(histograms)
        for index, count in sorted(histograms[step].items())
    ]
    return pd.DataFrame(rows, columns=["step", "lower", "upper", "tokens"])
