"""The report's sentences, computed from its tables."""

import pandas as pd

from reports.arms import reference_arm
from reports.load import StudyRecord

# What counts as a low gain: the default KPO settles at 0.1 %, the paper's weak smoothing at 9.5 %.
LOW_GAIN = 0.05


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %"


def _names(arms: pd.DataFrame) -> str:
    return ", ".join(f"{number}" for number in arms["number"])


def clipping_sentence(*, arms: pd.DataFrame) -> str:
    """Whether innovations were clipped at a low gain, and where."""
    if "clip_fraction" not in arms or arms["clip_fraction"].notna().sum() == 0:
        return "No arm has innovation statistics, so nothing can be said about clipping."
    measured = arms[arms["clip_fraction"].notna()]
    active = measured[measured["clip_fraction"] > 0]
    low = active[active["gain"] < LOW_GAIN]
    largest = measured["max_innovation"].max()
    if active.empty:
        return f"No arm clipped a single innovation: the largest was {largest:.3g}, below every threshold of the study."
    if low.empty:
        return (
            f"Innovations were clipped in arm(s) {_names(active)}, each with a steady-state gain of at least "
            f"{_percent(LOW_GAIN)}; no arm of this study had active clipping at a lower gain."
        )
    most = low.sort_values("clip_fraction").iloc[-1]
    return (
        f"Innovations were clipped at a steady-state gain below {_percent(LOW_GAIN)} in arm(s) {_names(low)}; the most "
        f"in arm {most['number']} (gain {_percent(most['gain'])}, threshold {most['threshold']:.3g}, "
        f"{_percent(most['clip_fraction'])} of tokens). Active clipping did not need a high gain here."
    )


def accuracy_sentence(*, arms: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    """Whether any arm differed from the reference in accuracy."""
    reference = reference_arm(arms=arms)
    if reference is None:
        return "No arm was evaluated."
    if comparisons.empty:
        return "Only one arm was evaluated, so there is nothing to compare."
    different = comparisons[comparisons["p_holm"] < 0.05]
    if different.empty:
        widest = 100 * (comparisons["high"] - comparisons["low"]).max() / 2
        return (
            f"No arm's accuracy differed from that of {reference} after Holm's correction; the intervals reach up to "
            f"±{widest:.1f} percentage points, and smaller differences could not have been seen."
        )
    parts = [f"arm {row['number']} by {100 * row['difference']:+.1f} points" for _, row in different.iterrows()]
    return f"Against {reference}, accuracy differed after Holm's correction in {', '.join(parts)}."


def seeds_sentence(*, study: StudyRecord) -> str:
    """What the number of training seeds allows to say."""
    seeds = study.trials["seed"].nunique()
    if seeds < 2:
        return (
            "One training seed per arm: the intervals cover the choice of problems and say nothing about how another "
            "seed would have come out."
        )
    return (
        f"{seeds} training seeds per arm are averaged within each problem; the intervals cover the choice of problems, "
        "and the spread between seeds is shown as bars in the training curves."
    )


def scope_sentence(*, study: StudyRecord) -> str:
    """What the results are evidence of."""
    if study.params.get("profile") == "tiny":
        return (
            "Profile tiny: a model of about a million parameters on embedded arithmetic. These results show the "
            "algorithm at work; they are not claims about models of billions of parameters."
        )
    return f"Profile {study.params.get('profile', 'unknown')}."
