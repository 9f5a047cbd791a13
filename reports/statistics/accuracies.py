"""Accuracy of every arm, over problems and, where there are several, over training seeds."""

import pandas as pd

from reports.statistics.accuracy import average_at_k
from reports.statistics.crossed import crossed_mean
from reports.statistics.skewed_interval import skewed_interval
from reports.statistics.verdicts import by_benchmark, paired_shares

ACCURACY_COLUMNS = (
    "arm",
    "benchmark",
    "accuracy",
    "low",
    "high",
    "standard_error",
    "problems",
    "seeds",
    "seed_sd",
    "seed_sd_low",
    "seed_sd_high",
)


def arm_accuracies(*, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each arm on each benchmark.

    The interval is `skewed_interval`, over seeds and problems; with one seed it is over problems, of the one trained
    model. With hundreds of problems it is that of `average_at_k`; with 30 that are nearly all wrong it
    covers about 95 % instead of that one's 88 % (`benchmarks/calibration.md`). Problems that a seed lacks are left out.

    Args:
        verdicts: From `verdict_counts`.

    Returns:
        `ACCURACY_COLUMNS`. ``seed_sd`` is the standard deviation of the seeds' own accuracies with its 95 % interval;
        NaN with one seed.
    """
    rows = []
    for benchmark in by_benchmark(verdicts=verdicts):
        for arm in benchmark.arms:
            tables, _ = paired_shares(benchmarks=[benchmark], arms=[arm])
            if not tables:
                continue
            values = tables[0].values[0]
            estimate = crossed_mean(blocks=[values])
            value, (low, high) = estimate.value, skewed_interval(estimate=estimate, values=values)
            if values.max() == 0.0 or values.min() == 1.0:
                # No spread to go by: the exact end of `average_at_k`, one verdict a problem.
                exact = average_at_k(correct=values[0] > 0, problem=range(values.shape[1]))
                value, low, high = exact.value, exact.low, exact.high
            rows.append(
                {
                    "arm": arm,
                    "benchmark": benchmark.name,
                    "accuracy": value,
                    "low": low,
                    "high": high,
                    "standard_error": estimate.standard_error,
                    "problems": estimate.problems,
                    "seeds": estimate.seeds,
                    "seed_sd": estimate.seed_sd,
                    "seed_sd_low": estimate.seed_sd_low,
                    "seed_sd_high": estimate.seed_sd_high,
                }
            )
    return pd.DataFrame(rows, columns=list(ACCURACY_COLUMNS))
