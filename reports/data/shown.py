"""Which arms a page shows where there are too many for it; all of them are in the exported tables."""

import pandas as pd

# Rows of a table that people read, and lines of a figure that they can tell apart.
MOST_ROWS, MOST_LINES = 40, 12


def shown_arms(*, arms: pd.DataFrame, reference: str | None, always: tuple[str, ...] = (), most: int) -> list[str]:
    """Names of at most so many arms, in planned order; all of them where there are no more.

    First come the reference, arms that are named (`always`, the paper's), the one that clipped most, and the one with
    the lowest gain that clipped at all; the rest are the most and the least accurate, in turn.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        reference: The arm that others are compared with.
        always: Arms that sentences speak of.
        most: How many.
    """
    if len(arms) <= most:
        return [str(name) for name in arms["arm"]]
    wanted = [*([reference] if reference else []), *always, *arms.loc[arms["title"] != "", "arm"]]
    clipping = arms[arms["clip_fraction"] > 0]
    if len(clipping):
        by_share = clipping.sort_values("clip_fraction", kind="stable")["arm"]
        wanted += [by_share.iloc[-1], clipping.sort_values("gain", kind="stable")["arm"].iloc[0]]
    ranked = arms.sort_values("accuracy", ascending=False, kind="stable", na_position="last")
    best = ranked["arm"].tolist()
    worst = ranked.loc[ranked["accuracy"].notna(), "arm"].tolist()[::-1]
    for pair in zip(best, worst + best[len(worst) :], strict=True):
        wanted += pair
    chosen = set(list(dict.fromkeys(wanted))[:most])
    return [str(name) for name in arms["arm"] if name in chosen]


def left_out(*, arms: pd.DataFrame, shown: list[str]) -> str:
    """A sentence for captions on what is not shown; empty where everything is."""
    missing = len(arms) - len(shown)
    if not missing:
        return ""
    return (
        f" Shown are {len(shown)} of {len(arms)} arms: the reference, those that have a name or stand out, and the "
        f"most and the least accurate; the {missing} others are in the exported tables (data/)."
    )
