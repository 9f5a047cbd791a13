"""What happened during training, step by step."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from reports.figures.style import looks, set_share_axis_with_zero, share_text, write_instead

# What may be drawn, most important first; a figure has room for the first four that a study recorded.
CURVES = (
    ("reward/mean", "mean reward", "linear"),
    ("kalman/gain_mean", "realised Kalman gain", "gain"),
    ("kalman/outside_share", "tokens outside the bounds", "share"),
    ("kalman/clip_fraction", "clip fraction", "share"),
    ("innovation/kurtosis", "kurtosis of innovations", "log"),
)


def training_curve(*, steps: pd.DataFrame, arms: pd.DataFrame, metric: str, label: str, scale: str, axes: Axes) -> Axes:
    """One metric over training steps: the mean over an arm's seeds, bars from the smallest to the largest seed.

    Args:
        steps: Steps of finished trials, from `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        metric: Name of the metric in MLflow.
        label: What it is, for the axis.
        scale: ``linear``, ``log``, ``gain`` (log, in per cent) or ``share`` (log with a place for 0, in per cent).
        axes: Where to draw.
    """
    look = looks(arms=arms)
    shown = steps.dropna(subset=[metric]) if metric in steps else steps.iloc[:0]
    for arm in arms["arm"]:
        rows = shown[shown["arm"] == arm]
        if rows.empty:
            continue
        curve = rows.groupby("step")[metric].agg(["mean", "min", "max"])
        # A mean of equal values may leave their range by rounding.
        bars = [(curve["mean"] - curve["min"]).clip(lower=0), (curve["max"] - curve["mean"]).clip(lower=0)]
        drawn = look[arm]
        axes.errorbar(
            curve.index,
            curve["mean"],
            yerr=bars if rows["seed"].nunique() > 1 else None,
            **drawn.curve,
            markersize=4,
            markeredgewidth=0.8,
            linewidth=1.1,
            elinewidth=0.8,
            capsize=1.5,
            label=str(arm),
        )
    axes.set_xlabel("training step")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if shown.empty:
        write_instead(axes=axes, text="not recorded")
    elif scale == "share":
        set_share_axis_with_zero(axes=axes, shares=np.asarray(shown[metric]))
    elif scale in ("log", "gain") and (shown[metric] > 0).any():
        _set_log_axis(axes, shares=scale == "gain")
    return axes


def _set_log_axis(axes: Axes, *, shares: bool) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    # Within a decade or two, ticks at its powers alone would leave one or none.
    narrow = high / low < 300
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: share_text(value) if shares else f"{value:g}"))
