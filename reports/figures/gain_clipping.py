"""Gain against clip fraction, the two that the paper says cannot be had apart."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from reports.figures.labels import Bar, label_points
from reports.figures.style import looks, set_share_axis_with_zero, share_text


def gain_against_clipping(*, arms: pd.DataFrame, axes: Axes, labelled: list[str] | None = None) -> Axes:
    """Realised mean gain (log) against clip fraction (log, with a shelf for 0): one point an arm.

    Bars reach from the smallest to the largest value over training steps and seeds. White points have no threshold.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        axes: Where to draw.
        labelled: Arms that get their number and bars; by default all of them.
    """
    points = arms[arms["realised_gain"].gt(0) & arms["clip_fraction"].notna()]
    look = looks(arms=arms)
    named = points if labelled is None else points[points["arm"].isin(labelled)]
    others = points.drop(named.index)
    # The bars of hundreds of arms would cover the points.
    axes.scatter(others["realised_gain"], others["clip_fraction"], s=14, facecolor="0.75", edgecolor="0.35",
                 linewidth=0.5, zorder=2.5)  # fmt: skip
    for _, arm in named.iterrows():
        drawn = look[arm["arm"]]
        axes.errorbar(
            arm["realised_gain"],
            arm["clip_fraction"],
            xerr=_lengths(arm["realised_gain"], arm["realised_gain_low"], arm["realised_gain_high"]),
            yerr=_lengths(arm["clip_fraction"], arm["clip_fraction_low"], arm["clip_fraction_high"]),
            marker=drawn.marker,
            color=drawn.colour,
            markerfacecolor=drawn.face,
            markeredgecolor="black",
            markeredgewidth=0.7,
            markersize=7,
            elinewidth=1.1,
            capsize=2.5,
            linestyle="none",
            clip_on=False,
            zorder=3,
        )
    axes.set_xscale("log")
    # Wider than the data, so that there is room for labels at both ends.
    if len(points):
        low, high = points["realised_gain_low"], points["realised_gain_high"]
        axes.set_xlim(low.where(low > 0).min() / 2.5, min(high.max() * 4, 1.5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda gain, _: share_text(gain)))
    shares = points[["clip_fraction", "clip_fraction_low", "clip_fraction_high"]]
    set_share_axis_with_zero(axes=axes, shares=shares.to_numpy())
    axes.set_xlabel("realised Kalman gain, mean over tokens")
    axes.set_ylabel("clip fraction, share of tokens")
    if points.empty:
        axes.text(0.5, 0.5, "no gain or clip fraction was recorded", transform=axes.transAxes, ha="center")
    else:
        label_points(
            axes=axes,
            x=np.asarray(named["realised_gain"]).tolist(),
            y=np.asarray(named["clip_fraction"]).tolist(),
            arms=named,
            bars=[bar for _, arm in named.iterrows() for bar in _bars(arm)],
        )
    return axes


def _bars(arm: "pd.Series[Any]") -> list[Bar]:
    gain, fraction = arm["realised_gain"], arm["clip_fraction"]
    return [
        ((arm["realised_gain_low"], fraction), (arm["realised_gain_high"], fraction)),
        ((gain, arm["clip_fraction_low"]), (gain, arm["clip_fraction_high"])),
    ]


def _lengths(value: float, low: float, high: float) -> list[list[float]]:
    """Lengths of an error bar; a mean of equal values may leave their range by rounding."""
    return [[max(0.0, value - low)], [max(0.0, high - value)]]
