"""The report's verdict, its limits, and what a study in progress still lacks: sentences computed from its tables."""

import math
from typing import Any

import numpy as np
import pandas as pd

from iskpo.settings import GAIN_DEPENDS_ON_DATA
from reports.analysis.arms import row_of
from reports.data.load import StudyRecord
from reports.data.numbers import count, difference, listing, number, points, share_interval
from reports.text.claims import Sentence, comparison_claims
from sweep.profiles.profile import made_here

ALPHA = 0.05
# Rows of the table of arms that lack a trial.
_MOST_ARMS = 30


def named(*, arm: "pd.Series[Any]") -> str:
    """An arm by number and name."""
    return f"arm {arm['number']} ({arm['label']})"


def numbers_of(*, arms: pd.DataFrame) -> str:
    """Numbers of arms in a row, of many the first seven."""
    numbers = [str(number) for number in arms["number"]]
    return listing(numbers if len(numbers) <= 8 else [*numbers[:7], f"{len(numbers) - 7} more"])


def clipped_share(*, arm: "pd.Series[Any]") -> str:
    """The share of tokens that an arm clipped in per cent, with its interval over sequences."""
    return share_interval(arm["clip_fraction"], arm["clip_interval_low"], arm["clip_interval_high"])


def accuracy_sentence(*, arms: pd.DataFrame, comparisons: pd.DataFrame, reference: str | None) -> Sentence:
    """Whether accuracy differed from the reference arm's, and what could not have been seen.

    On the mean of the benchmarks, after Holm's correction over all comparisons: of what is listed nothing may be wrong.
    Pairs that the study registered have a verdict of their own; where there is no other, nothing is said.
    """
    if reference is None:
        return Sentence("No arm has been evaluated, so nothing can be said about accuracy.")
    base = named(arm=row_of(arms=arms, name=reference))
    # An arm that is another one by proof is no finding of its own.
    comparisons = comparisons[comparisons["same_as"] == ""]
    judged = comparisons["registered"].astype(bool)
    if judged.any() and judged.all():
        return Sentence("")
    comparisons = comparisons[~judged]
    if comparisons.empty:
        return Sentence(f"Accuracy was evaluated in {base} alone, so there is nothing to compare it with.")
    tested = comparisons[comparisons["p_family"].notna()]
    different = tested[tested["p_family"] < ALPHA].sort_values("difference", key=abs, ascending=False, kind="stable")
    if not different.empty:
        several = different["seeds"] > 1
        sentences = []
        if several.any():
            listed = _differences(different[several], arms, comparisons)
            sentences.append(
                f"Accuracy differed from that of {base}, after correction for the number of comparisons: {listed}."
            )
        if not several.all():
            listed = _differences(different[~several], arms, comparisons)
            sentences.append(
                f"Of the models that were trained with one seed, these differ in accuracy from that of {base}, after "
                f"correction for the number of comparisons: {listed}. That is a difference of trained models: whether "
                "their settings differ, one seed cannot show."
            )
        claims = comparison_claims(rows=different, reference=reference, established=True)
        return Sentence(" ".join(sentences), claims)
    if tested.empty or not np.isfinite(widest := ((tested["high"] - tested["low"]) / 2).max()):
        return Sentence(
            f"No comparison with {base} could be tested: there are too few problems, so nothing is said of accuracy."
        )
    subject = "No arm's accuracy" if (tested["seeds"] > 1).all() else "The accuracy of no trained model"
    return Sentence(
        f"{subject} could be told from that of {base} ({count(len(tested), 'comparison')}, corrected "
        f"for their number); with 95 % intervals of up to ±{points(widest)} points, such differences may well exist."
    )


def _differences(rows: pd.DataFrame, arms: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    """Differences in points with their intervals, of many the first four."""
    parts = [
        f"{difference(*row[['difference', 'low', 'high']])} in {named(arm=row_of(arms=arms, name=row['arm']))}"
        f"{_benchmark(row, comparisons)}"
        for _, row in rows.iterrows()
    ]
    return listing(parts[:4] + ([f"{len(parts) - 4} more"] if len(parts) > 4 else []))


def _benchmark(row: "pd.Series[Any]", comparisons: pd.DataFrame) -> str:
    return f" on {row['benchmark']}" if comparisons["benchmark"].nunique() > 1 else ""


def limits(*, study: StudyRecord, arms: pd.DataFrame) -> list[str]:
    """What the results are no evidence of, most important first."""
    sentences = []
    if (summary := made_here(study.params.get("profile", ""))) is not None:
        sentences.append(
            f"Small model. These numbers come from {summary}. They show what the algorithm does; they are not claims "
            "about the paper's 4B models, least of all in accuracy."
        )
    seeds = int(study.trials.loc[study.trials["state"] == "finished", "seed"].nunique())
    if seeds == 0:
        sentences.append("Nothing finished. No trial of this study has finished, so every measured number is missing.")
    elif seeds == 1:
        sentences.append(
            "One training seed. Intervals and p-values cover the choice of problems. This report cannot speak about "
            "training seeds: how another seed would have come out, it does not know."
        )
    else:
        sentences.append(
            f"{seeds} training seeds. Intervals and p-values of arms with several seeds cover the choice of problems "
            "and of seeds; few seeds make them wide."
        )
    missing = study.trials[study.trials["state"] != "finished"]
    if len(missing):
        states = missing["state"].value_counts(sort=False)
        sentences.append(
            f"Incomplete. Of {count(len(study.trials), 'planned trial')} "
            f"{listing(f'{amount} {state}' for state, amount in states.items())}; nothing of them is in any figure."
        )
    public = arms[arms["numerics"] != "exact"]
    if len(public):
        which = listing(named(arm=arm) for _, arm in public.iterrows())
        broken = public["nonfinite_tokens"].sum()
        sentences.append(
            f"Published numerics. The published float32 formula, which departs from the exact filter, stood in for it "
            f"in {which}; "
            + (
                f"it was NaN or infinite on {count(round(broken), 'token')}, those of failed trials among them. "
                if broken
                else "none of its tokens was NaN. "
            )
            + "Their numbers speak about that formula."
        )
    predictable = ~arms["estimator"].isin(GAIN_DEPENDS_ON_DATA)
    slow = arms[predictable & (arms["realised_gain"] < 0.5 * arms["gain"])]
    if len(slow):
        length = number(slow["response_length"].mean(), digits=2)
        sentences.append(
            f"Short responses. In {count(len(slow), 'arm')} the filter starts from variance zero and responses end "
            f"(after {length} tokens on average) long before it settles: the realised gain is less than half of the "
            "steady-state gain."
            if math.isfinite(slow["response_length"].mean())
            else f"Unsettled filter. In {count(len(slow), 'arm')} the realised gain is less than half of the "
            "steady-state gain."
        )
    return sentences


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
