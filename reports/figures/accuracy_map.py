"""Accuracy over gain and outside share, which confound each other: smoothing against masking."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from reports.figures.labels import Bar, label_points
from reports.figures.style import ACCURACY_COLOURS, INK, looks, set_share_axis_with_zero, share_text, write_instead


def accuracy_map(*, arms: pd.DataFrame, axes: Axes) -> Axes:
    """Realised mean gain (log) against the share of tokens outside the bounds: a point an arm, its colour the accuracy.

    Bars reach from the smallest to the largest value over training steps and seeds. At a fixed eps a higher gain puts
    more tokens outside, so only arms at the same height differ in smoothing alone, and only those in one column in
    masking alone. Darker is more accurate; an arm that was not evaluated is crossed. The interval of an accuracy stands
    in `reports.figures.accuracy_intervals`.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        axes: Where to draw.
    """
    placed = map_rows(arms=arms)
    look = looks(arms=arms)
    axes.set_xscale("log")
    if placed.empty:
        return write_instead(axes=axes, text="no gain or outside share was recorded")
    for _, arm in placed.iterrows():
        axes.errorbar(
            arm["realised_gain"],
            arm["outside_share"],
            xerr=_lengths(arm, "realised_gain"),
            yerr=_lengths(arm, "outside_share"),
            color=INK,
            elinewidth=0.9,
            capsize=2.0,
            linestyle="none",
            zorder=2,
        )
    evaluated = placed["accuracy"].notna()
    for _, arm in placed[~evaluated].iterrows():
        axes.plot(arm["realised_gain"], arm["outside_share"], marker="x", color="black", zorder=3, clip_on=False)
    known = 100 * placed.loc[evaluated, "accuracy"].astype(float)
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    high = high if high > low else low + 1.0
    drawn, lightest = None, low - 0.25 * (high - low)
    for (_, arm), accuracy in zip(placed[evaluated].iterrows(), known, strict=True):
        drawn = axes.scatter(
            arm["realised_gain"], arm["outside_share"], c=[accuracy], cmap=ACCURACY_COLOURS, vmin=lightest,
            vmax=high, marker=look[arm["arm"]].marker, s=52, edgecolor="black", linewidth=0.8, zorder=3, clip_on=False,
        )  # fmt: skip
    if drawn is not None:
        bar = axes.figure.colorbar(drawn, ax=axes, pad=0.03, aspect=22)
        bar.ax.set_ylim(low, high)
        bar.set_label("accuracy, %")
    # Wider than the data, so that there is room for labels at both ends.
    gains = placed["realised_gain_low"].where(placed["realised_gain_low"] > 0, placed["realised_gain"])
    axes.set_xlim(gains.min() / 2.5, min(placed["realised_gain_high"].max() * 4, 1.5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda gain, _: share_text(gain)))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    shares = placed[["outside_share", "outside_share_low", "outside_share_high"]]
    set_share_axis_with_zero(axes=axes, shares=shares.to_numpy())
    axes.set_xlabel("realised Kalman gain, mean over tokens")
    axes.set_ylabel("tokens outside the bounds")
    label_points(
        axes=axes,
        x=placed["realised_gain"].tolist(),
        y=placed["outside_share"].tolist(),
        arms=placed.assign(title="", note=""),
        bars=[bar for _, arm in placed.iterrows() for bar in _bars(arm)],
    )
    return axes


def map_rows(*, arms: pd.DataFrame) -> pd.DataFrame:
    """The arms that have a place on the map: with a realised gain and an outside share, and no others by proof."""
    return arms[arms["realised_gain"].gt(0) & arms["outside_share"].notna() & (arms["same_as"] == "")]


def _bars(arm: "pd.Series[Any]") -> list[Bar]:
    gain, share = arm["realised_gain"], arm["outside_share"]
    return [
        ((arm["realised_gain_low"], share), (arm["realised_gain_high"], share)),
        ((gain, arm["outside_share_low"]), (gain, arm["outside_share_high"])),
    ]


def _lengths(arm: "pd.Series[Any]", name: str) -> list[list[float]]:
    """Lengths of an error bar; a mean of equal values may leave their range by rounding."""
    value = arm[name]
    return [[max(0.0, value - arm[f"{name}_low"])], [max(0.0, arm[f"{name}_high"] - value)]]
