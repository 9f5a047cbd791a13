"""Everything the document says, as text: Typst only lays it out, and no study's name is ever read as markup."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from iskpo.published.departure import public_departure
from reports.analysis.arms import MOST_ROWS, distinct_arms, left_out, number_and_label, planned_arm, row_of, shown_arms
from reports.analysis.study_statistics import Analysis
from reports.analysis.tension import Bounds
from reports.analysis.training_effect import UNTRAINED, untrained_accuracy
from reports.data.load import StudyRecord
from reports.data.numbers import MISSING, NOTHING, interval, listing, number, number_interval, per_cent, points
from reports.data.provenance import facts
from reports.figures.style import looks
from reports.replication import replication_content
from reports.statistics.accuracy import arm_accuracies
from reports.statistics.verdicts import main_benchmark
from reports.text.breakdown_text import breakdown_content
from reports.text.first_page import first_page
from reports.text.mlflow_metrics import study_metrics
from reports.text.model_text import model_content
from reports.text.statistics_text import statistics_content
from reports.text.tension_text import map_note
from reports.text.training_text import training_content
from reports.text.twins_text import twins_content
from reports.text.verdict import (
    accuracy_sentence,
    clipped_share,
    missing_trials,
    unevaluated_benchmarks,
)
from sweep.arms.paper import note, paper_arm, paper_note

# KPO's own limit of a response, at which the formula is examined.
_DEPARTURE_TOKENS = 4096
_POLICY = ("entropy", "kl", "mismatch")


def document_content(
    *,
    study: StudyRecord,
    arms: pd.DataFrame,
    analysis: Analysis,
    reference: str | None,
    grid: pd.DataFrame,
    model: pd.DataFrame,
    cells: pd.DataFrame,
    bounds: Bounds,
    output: Path,
) -> dict[str, Any]:
    """Texts and table cells of the document, ready for JSON.

    Args:
        study: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        analysis: From `reports.analysis.study_statistics.analyse`.
        reference: The arm that others are compared with.
        grid: From `reports.analysis.tension.replayed_grid`.
        model: From `reports.analysis.filter_model.filter_model_table`.
        cells: From `reports.replication.replication_cells`.
        bounds: What is a low gain and what is active clipping.
        output: The study's folder.
    """
    comparisons = analysis.comparisons
    k = arms["samples"].max()
    page = first_page(study=study, arms=arms, analysis=analysis, reference=reference, grid=grid, bounds=bounds)
    distinct = distinct_arms(arms=arms)
    shown = shown_arms(arms=distinct, reference=reference, always=tuple(page["named"]), most=MOST_ROWS)
    rows = distinct[distinct["arm"].isin(shown)]
    return {
        "name": study.name,
        "question": study.question,
        "date": f"{study.started:%Y-%m-%d}",
        **page,
        "facts": facts(study=study, arms=arms, output=output),
        "study_file": study.study_file,
        "accuracy_sentence": accuracy_sentence(arms=arms, comparisons=comparisons, reference=reference),
        "map_note": map_note(grid=grid, bounds=bounds),
        "missing": missing_trials(study=study),
        "state": study.state,
        "lacking_benchmarks": unevaluated_benchmarks(verdicts=analysis.verdicts),
        "k": str(int(k)) if np.isfinite(k) else "k",
        "benchmark": main_benchmark(verdicts=analysis.verdicts) or "",
        "arms_left_out": left_out(arms=distinct, shown=shown),
        "has_histograms": len(study.histograms) > 0,
        "labels": dict(zip(arms["arm"], arms["label"], strict=True)),
        "colours": {name: to_hex(look.colour) for name, look in looks(arms=arms).items()},
        "metrics": study_metrics(study=study, arms=arms, analysis=analysis),
        "arm_notes": _arm_notes(rows, study),
        "arms": [_result_row(arm) for _, arm in rows.iterrows()] + _untrained_row(analysis),
        "public_numerics": [_public_numerics_row(arm) for _, arm in rows[rows["numerics"] != "exact"].iterrows()],
        "public_numerics_tokens": f"{_DEPARTURE_TOKENS:,}".replace(",", "\u202f"),
        "innovations": [_innovation_row(arm) for _, arm in rows.iterrows()],
        "policies": [_policy_row(arm) for _, arm in rows.iterrows() if arm[list(_POLICY)].notna().any()],
        "failures": _failures(study),
        "reference": row_of(arms=arms, name=reference)["label"] if reference else "",
        "compared_problems": sorted({int(problems) for problems in comparisons["problems"]}),
        "several_benchmarks": bool(analysis.verdicts["benchmark"].nunique() > 1),
        "several_seeds": bool(study.trials["seed"].nunique() > 1),
        "accuracies": _accuracy_rows(analysis.verdicts[analysis.verdicts["arm"].isin(shown)], arms),
        **statistics_content(
            analysis=analysis,
            arms=arms,
            shown=shown,
            trial_minutes=float(_trained(study)["minutes"].mean()),
        ),
        **model_content(mixtures=analysis.mixtures, model=model, arms=arms, shown=shown),
        **training_content(analysis=analysis, arms=arms, shown=shown),
        **replication_content(study=study, cells=cells, arms=arms),
        **twins_content(study=study, noise=analysis.noise),
        **breakdown_content(samples=study.samples, arms=arms, benchmark=main_benchmark(verdicts=analysis.verdicts)),
    }


def _trained(study: StudyRecord) -> pd.DataFrame:
    """Trials that finished and were not recorded as others."""
    return study.trials[(study.trials["state"] == "finished") & (study.trials["same_as"] == "")]


def _failures(study: StudyRecord) -> list[list[str]]:
    failed = study.trials[study.trials["state"].isin(["failed", "interrupted"])]
    rows = [
        [str(trial["trial"]), str(trial["state"]), str(trial["reason"]) or "no reason was recorded"]
        for _, trial in failed.head(MOST_ROWS).iterrows()
    ]
    more = len(failed) - len(rows)
    return [*rows, [f"{more} more", "", "in data/trials.csv"]] if more > 0 else rows


def _arm_notes(rows: pd.DataFrame, study: StudyRecord) -> list[list[str]]:
    """What is worth knowing of an arm beyond its numbers and the name that the paper gives it."""
    first = study.trials.drop_duplicates("arm").set_index("arm", drop=False)
    found: dict[str, list[str]] = {}
    for _, arm in rows.iterrows():
        planned = planned_arm(trial=first.loc[arm["arm"]])
        known, words = paper_arm(planned), note(planned)
        if words and (known is None or words != paper_note(known)):
            found.setdefault(words, []).append(arm["numbers"])
    return [[_arms_in_words(numbers), words] for words, numbers in found.items()]


def _arms_in_words(numbers: list[str]) -> str:
    """Numbers of arms and of their twins.

    >>> _arms_in_words(["5"]), _arms_in_words(["5", "6"]), _arms_in_words(["7, 8"])
    ('Arm 5', 'Arms 5 and 6', 'Arms 7, 8')
    """
    several = len(numbers) > 1 or not numbers[0].isdigit()
    return f"{'Arms' if several else 'Arm'} {listing(numbers)}"


def _result_row(arm: "pd.Series[Any]") -> list[str]:
    clips = math.isfinite(arm["kappa"])
    return [
        arm["numbers"],
        arm["row_label"] + ("" if arm["finished"] == arm["trials"] else f" ({arm['states']})"),
        number(arm["q"]),
        number(arm["v"]),
        number(arm["kappa"]),
        per_cent(arm["gain"]),
        per_cent(arm["realised_gain"]),
        per_cent(arm["outside_share"]),
        number(arm["threshold"]) if clips else NOTHING,
        clipped_share(arm=arm) if clips else NOTHING,
        interval(arm["accuracy"], arm["low"], arm["high"]),
        interval(arm["pass_at_k"], arm["pass_low"], arm["pass_high"]),
    ]


def _untrained_row(analysis: Analysis) -> list[list[str]]:
    """The untrained model, which has no filter and no number; none where it was not judged."""
    found = untrained_accuracy(untrained=analysis.untrained)
    if found is None:
        return []
    passed = interval(found["pass_at_k"], found["pass_low"], found["pass_high"])
    return [["", UNTRAINED, *[NOTHING] * 8, interval(found["accuracy"], found["low"], found["high"]), passed]]


def _innovation_row(arm: "pd.Series[Any]") -> list[str]:
    clips = math.isfinite(arm["kappa"])
    low, high = number(arm["kurtosis_low"], digits=2), number(arm["kurtosis_high"], digits=2)
    clipped, tokens = (
        MISSING if math.isnan(value) else f"{round(value):,}".replace(",", "\u202f")
        for value in (arm["clipped_tokens"], arm["tokens"])
    )
    return [
        str(arm["number"]),
        arm["label"],
        number(arm["kurtosis"]),
        MISSING if MISSING in (low, high) else f"{low} – {high}",
        number(arm["max_innovation"]),
        number(arm["max_over_sigma"]),
        number(arm["kappa"]),
        clipped if clips else NOTHING,
        tokens,
    ]


def _policy_row(arm: "pd.Series[Any]") -> list[str]:
    cells = (number_interval(*arm[[name, f"{name}_low", f"{name}_high"]], digits=2) for name in _POLICY)
    return [str(arm["number"]), arm["label"], *cells, number(arm["response_length"])]


def _public_numerics_row(arm: "pd.Series[Any]") -> list[str]:
    departure = public_departure(q=arm["q"], v=arm["v"], length=_DEPARTURE_TOKENS)
    return [
        str(arm["number"]),
        arm["label"],
        number(arm["q"] / arm["v"]),
        *("never" if token is None else str(token) for token in (departure.first_wrong, departure.first_nonfinite)),
        per_cent(arm["nonfinite_share"]),
    ]


def _accuracy_rows(verdicts: pd.DataFrame, arms: pd.DataFrame) -> list[list[str]]:
    table = arm_accuracies(verdicts=verdicts)
    return [
        [
            str(row["benchmark"]),
            *number_and_label(arms=arms, name=row["arm"]),
            interval(row["accuracy"], row["low"], row["high"]),
            interval(row["pass_at_k"], row["pass_low"], row["pass_high"]),
            str(row["seeds"]),
            NOTHING if row["seeds"] == 1 else f"{points(row['seed_low'])} – {points(row['seed_high'])}",
            NOTHING if row["seeds"] == 1 else points(row["seed_sd"]),
        ]
        for _, row in table.assign(order=table["arm"].map(arms.set_index("arm")["number"]))
        .sort_values(["benchmark", "order"], kind="stable")
        .iterrows()
    ]
