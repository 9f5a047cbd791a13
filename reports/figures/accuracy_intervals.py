"""Accuracy of every arm with its interval."""

import pandas as pd
from matplotlib.axes import Axes

from reports.figures.style import INK, looks, write_instead


def accuracy_intervals(
    *, arms: pd.DataFrame, reference: str | None, axes: Axes, untrained: float | None = None
) -> Axes:
    """avg@k of every evaluated arm with its 95 % interval, over problems and seeds; small strokes are the seeds' ends.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        reference: The arm that others are compared with, marked by a dashed line.
        axes: Where to draw.
        untrained: Accuracy of the untrained model, a share, marked by a dotted line; None where it was not judged.
    """
    evaluated = arms[arms["accuracy"].notna()]
    look = looks(arms=arms)
    for height, (_, arm) in enumerate(evaluated.iloc[::-1].iterrows()):
        drawn = look[arm["arm"]]
        bars = [[100 * (arm["accuracy"] - arm["low"])], [100 * (arm["high"] - arm["accuracy"])]]
        axes.errorbar(
            100 * arm["accuracy"],
            height,
            xerr=bars if pd.notna(arm["low"]) else None,
            **drawn.point,
            markeredgecolor="black",
            markeredgewidth=0.7,
            markersize=6,
            capsize=3,
            zorder=3,
        )
        if arm["seeds"] > 1:
            axes.plot(
                [100 * arm["seed_low"], 100 * arm["seed_high"]], [height, height], linestyle="none", marker="|",
                markersize=9, color="black", zorder=4,
            )  # fmt: skip
        if arm["arm"] == reference:
            axes.axvline(100 * arm["accuracy"], color=INK, linestyle=(0, (4, 2)), linewidth=0.8, zorder=1)
    if untrained is not None:
        axes.axvline(100 * untrained, color=INK, linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
    names = [f"{arm['label']}  {arm['number']}" for _, arm in evaluated.iterrows()]
    axes.set_yticks(range(len(names)), names[::-1])
    axes.set_ylim(-0.7, max(len(names), 1) - 0.3)
    axes.grid(visible=False, axis="y")
    k = int(evaluated["samples"].max()) if len(evaluated) else None
    axes.set_xlabel(f"avg@{k or 'k'}, % (95 % interval)")
    if evaluated.empty:
        write_instead(axes=axes, text="no arm was evaluated")
    return axes
