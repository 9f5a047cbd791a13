"""What a study in progress still lacks, arm by arm."""

import pandas as pd

from reports.data.load import StudyRecord
from reports.data.numbers import count, listing

_MOST_ARMS = 30


def missing_trials(*, study: StudyRecord) -> list[list[str]]:
    """Rows arm, what is there, what is missing, of the arms that have not finished all their trials.

    Failed trials are missing too: their reasons stand in a table of their own.

    Args:
        study: From `reports.data.load`.

    Returns:
        At most 31 rows; the last one then says how many arms are left out.
    """
    rows = []
    for arm, trials in study.trials.groupby("arm", sort=False):
        lacking = trials[trials["state"] != "finished"]
        if lacking.empty:
            continue
        states = lacking.groupby("state", sort=False)["seed"].apply(list)
        words = [f"{state}: {_seeds(seeds)}" for state, seeds in states.items()]
        rows.append([str(arm), f"{len(trials) - len(lacking)} of {count(len(trials), 'trial')}", "; ".join(words)])
    if len(rows) > _MOST_ARMS:
        rest = len(rows) - _MOST_ARMS
        rows = [*rows[:_MOST_ARMS], [f"{rest} more", "", "in data/trials.csv"]]
    return rows


def unevaluated_benchmarks(*, verdicts: pd.DataFrame) -> list[str]:
    """Sentences about benchmarks, or seeds of them, that some evaluated arms lack.

    Args:
        verdicts: From `verdict_counts`.
    """
    sentences = []
    every = list(verdicts["arm"].unique())
    for benchmark, table in verdicts.groupby("benchmark", sort=False):
        there = set(table["arm"].unique())
        lacking = [str(arm) for arm in every if arm not in there]
        if lacking:
            shown = lacking[:6] + ([f"{len(lacking) - 6} more"] if len(lacking) > 6 else [])
            sentences.append(
                f"Benchmark {benchmark} is missing for {listing(shown)}: it has no part in their means over "
                "benchmarks, and they are not compared on it."
            )
    return sentences


def _seeds(seeds: list[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {listing(str(seed) for seed in seeds)}"
