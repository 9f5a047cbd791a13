"""The first page: what this study asked and found, each with its number and interval, and the arms in one table."""

import math
from typing import Any

import pandas as pd

from reports.analysis.arms import MOST_LINES, distinct_arms, shown_arms
from reports.analysis.study_statistics import Analysis
from reports.analysis.tension import Bounds
from reports.analysis.training_effect import UNTRAINED, untrained_accuracy
from reports.data.load import StudyRecord
from reports.data.numbers import NOTHING, count, interval, listing, per_cent, points
from reports.text.claims import Sentence
from reports.text.registered_text import registered_sentences
from reports.text.statistics_text import recovery_sentence
from reports.text.tension_text import clipping_sentences, deciding_arm
from reports.text.training_text import training_sentence
from reports.text.verdict import accuracy_sentence, clipped_share, limits

# An interval wider than this, in shares of accuracy, says little; few seeds are why, and the page says so.
_WIDE = 0.2
_WIDE_MARK = "†"
_MOST_RANGES = 2


def first_page(
    *,
    study: StudyRecord,
    arms: pd.DataFrame,
    analysis: Analysis,
    reference: str | None,
    grid: pd.DataFrame,
    bounds: Bounds,
) -> dict[str, Any]:
    """Texts and cells of the first page.

    Args:
        study: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        analysis: From `reports.analysis.study_statistics.analyse`.
        reference: The arm that others are compared with.
        grid: From `reports.analysis.tension.replayed_grid`.
        bounds: What is a low gain and what is active clipping.
    """
    clipping = clipping_sentences(arms=arms, verdicts=analysis.verdicts, bounds=bounds, grid=grid)
    sentences = verdict_sentences(study=study, arms=arms, analysis=analysis, reference=reference, clipping=clipping[:1])
    distinct = distinct_arms(arms=arms)
    # The arms that sentences speak of stand in the table whatever else is left out.
    always = (deciding_arm(arms=arms, bounds=bounds), *analysis.registered.get("arm", ()))
    named = shown_arms(
        arms=distinct, reference=reference, always=tuple(name for name in always if name), most=MOST_LINES
    )
    rows = distinct[distinct["arm"].isin(named)]
    return {
        "verdict": sentences,
        "claims": [claim.as_json() for sentence in sentences for claim in sentence.claims],
        "limits": [sentence.split(". ", 1) for sentence in limits(study=study, arms=arms)],
        "summary": [summary_row(arm=arm) for _, arm in rows.iterrows()] + _untrained(analysis),
        "summary_notes": _notes(rows, len(distinct)),
        "named": named,
        "summary_twins": len(distinct) < len(arms),
        "asks_about_clipping": bool(clipping),
        "clipping": clipping[1:],
        # The picture that belongs to the question.
        "main_figure": "map" if clipping else "accuracy",
    }


def verdict_sentences(
    *,
    study: StudyRecord,
    arms: pd.DataFrame,
    analysis: Analysis,
    reference: str | None,
    clipping: list[Sentence],
) -> list[Sentence]:
    """What the study found, each sentence with what it claims.

    What was registered comes first. Where nothing was, clipping does, if any arm has a threshold, then accuracy against
    the reference; a study without thresholds does not ask about clipping, and nothing is said of it.

    Args:
        study: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        analysis: From `reports.analysis.study_statistics.analyse`.
        reference: The arm that others are compared with.
        clipping: The first of `reports.text.tension_text.clipping_sentences`, if there is one.
    """
    sentences = registered_sentences(analysis=analysis, arms=arms)
    if study.registered is not None and study.registered.recovery:
        sentences.append(recovery_sentence(recovery=analysis.recovery, arms=arms))
    sentences += clipping
    if analysis.registered.empty:
        sentences.append(accuracy_sentence(arms=arms, comparisons=analysis.comparisons, reference=reference))
    if learned := training_sentence(analysis=analysis, arms=arms):
        sentences.append(learned)
    return sentences


def summary_row(*, arm: "pd.Series[Any]") -> list[str]:
    """Number, name, accuracy with its interval, gain, realised gain, outside share and clip fraction, in per cent.

    Args:
        arm: A row of `reports.analysis.arms.distinct_arms`.
    """
    able = arm["kappa"] < math.inf
    return [
        arm["numbers"],
        arm["row_label"] + ("" if arm["finished"] == arm["trials"] else f" ({arm['states']})"),
        interval(arm["accuracy"], arm["low"], arm["high"]) + (f" {_WIDE_MARK}" if _is_wide(arm) else ""),
        *(per_cent(arm[name]) if arm["loss"] == "iskpo" else NOTHING for name in ("gain", "realised_gain")),
        per_cent(arm["outside_share"]),
        clipped_share(arm=arm) if able else NOTHING,
    ]


def _untrained(analysis: Analysis) -> list[list[str]]:
    found = untrained_accuracy(untrained=analysis.untrained)
    if found is None:
        return []
    return [["", UNTRAINED, interval(found["accuracy"], found["low"], found["high"]), *[NOTHING] * 4]]


def _is_wide(arm: "pd.Series[Any]") -> bool:
    return bool(arm["seeds"] > 1 and arm["high"] - arm["low"] > _WIDE)


def _notes(rows: pd.DataFrame, all_rows: int) -> list[str]:
    notes = []
    all_wide = rows[[_is_wide(arm) for _, arm in rows.iterrows()]]
    for seeds in sorted({int(seeds) for seeds in all_wide["seeds"]}):
        wide = all_wide[all_wide["seeds"] == seeds]
        ends = listing(
            f"{points(arm['seed_low'])} to {points(arm['seed_high'])} % in arm {arm['numbers']}"
            for _, arm in wide.head(_MOST_RANGES).iterrows()
        )
        notes.append(
            f"{_WIDE_MARK} So wide since it covers seeds that were not run, of which {count(seeds, 'seed')} tell "
            f"little; arms are compared seed by seed. The seeds came out at {ends}"
            + ("; those of all arms are in data/arms.csv." if len(wide) > _MOST_RANGES else ".")
        )
    if (more := all_rows - len(rows)) > 0:
        notes.append(f"{count(more, 'more arm')} in the tables that follow and in data/.")
    return notes
