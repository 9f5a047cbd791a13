"""Accuracy of arms on benchmarks and on groups of their problems: avg@k and pass@k with intervals, and the seeds' own.

Samples of one problem are not independent, so a standard error over samples is too small. Averages are taken within
each problem first and the spread is taken over problems (Miller 2024, "Adding Error Bars to Evals", arXiv 2411.00640,
sections 2.1 and 2.2) and, where there are several, over training seeds. How arms are compared is in
`reports.statistics.compare`.
"""

from typing import Literal

import pandas as pd

from reports.statistics.curves import pass_scores
from reports.statistics.mean_share import mean_share
from reports.statistics.verdicts import by_benchmark, paired_shares, verdict_counts

ACCURACY_COLUMNS = (
    "arm", "benchmark", "accuracy", "low", "high", "standard_error", "problems", "samples", "pass_at_k", "pass_low",
    "pass_high", "seeds", "seed_sd", "seed_low", "seed_high",
)  # fmt: skip
GROUP_COLUMNS = ("arm", "group", "accuracy", "low", "high", "problems")


def arm_accuracies(*, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each arm on each benchmark, with pass@k and the spread of its seeds.

    Intervals are those of `mean_share`, over seeds and problems; with one seed they are over problems, of the one
    trained model. Problems that a seed lacks are left out.

    Args:
        verdicts: From `verdict_counts`.

    Returns:
        `ACCURACY_COLUMNS`: standard_error over seeds and problems, samples (k, of one seed), pass_at_k with its
        interval, seed_sd (NaN with one seed), seed_low and seed_high (of the seeds' own accuracies). Shares from 0 to
        1.
    """
    rows = []
    for benchmark in by_benchmark(verdicts=verdicts):
        for arm in benchmark.arms:
            tables, _ = paired_shares(benchmarks=[benchmark], arms=[arm])
            if not tables:
                continue
            shares, asked = tables[0].values[0], tables[0].samples[0]
            found = mean_share(values=shares)
            passed = mean_share(values=pass_scores(correct=tables[0].correct[0], samples=asked)[:, :, -1])
            own = shares.mean(axis=1)
            rows.append(
                (
                    *(arm, benchmark.name, found.value, found.low, found.high, found.standard_error, found.problems),
                    *(int(asked.min()), passed.value, passed.low, passed.high),
                    *(found.seeds, found.seed_sd, float(own.min()), float(own.max())),
                )
            )
    return pd.DataFrame(rows, columns=list(ACCURACY_COLUMNS))


def group_accuracies(*, samples: pd.DataFrame, by: Literal["subject", "level"]) -> pd.DataFrame:
    """Accuracy of each arm on each subject or level of a benchmark, as `arm_accuracies` gives it of the whole.

    Groups are looked at together and each has few problems, so the intervals (95 %, over seeds and problems, not
    corrected for their number) describe and do not test.

    Args:
        samples: The last evaluation of each trial on one benchmark: trial, arm, seed, problem_id, correct, step, and
            ``by``. Rows whose ``by`` is empty or missing belong to no group.
        by: Which.

    Returns:
        `GROUP_COLUMNS`, groups in alphabetical order. Shares from 0 to 1.
    """
    grouped = samples[samples[by].notna() & (samples[by].astype(str) != "")] if by in samples else samples.iloc[:0]
    if grouped.empty:
        return pd.DataFrame(columns=list(GROUP_COLUMNS))
    table = arm_accuracies(verdicts=verdict_counts(samples=grouped.assign(benchmark=grouped[by].astype(str))))
    order = table["arm"].map({arm: place for place, arm in enumerate(pd.unique(grouped["arm"]))})
    table = table.assign(order=order).sort_values(["order", "benchmark"], kind="stable")
    return table.rename(columns={"benchmark": "group"})[list(GROUP_COLUMNS)].reset_index(drop=True)
