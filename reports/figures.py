"""The report's figures, drawn on axes that the caller gives.

Every arm has the same number, colour and marker in each figure. Colours are seaborn's "colorblind" set; markers and
line styles say the same again, so that nothing is lost in greyscale.
"""

import math
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from reports.load import StudyRecord

matplotlib.use("Agg")

_MARKERS = "osD^vP*X<>hpd"
_LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
# Below this clip fraction the axis is linear, so that zero can be shown.
_SMALLEST_FRACTION = 1e-5


def style() -> None:
    """Use the report's look for every figure drawn from now on."""
    sns.set_theme(
        style="whitegrid",
        context="paper",
        palette="colorblind",
        rc={"axes.spines.top": False, "axes.spines.right": False, "grid.linewidth": 0.5, "svg.fonttype": "path"},
    )


def _colour(number: int) -> Any:
    palette = sns.color_palette("colorblind")
    return palette[(number - 1) % len(palette)]


def _label_points(axes: Axes, points: pd.DataFrame, x: str, y: str) -> None:
    """Write arm numbers beside their points; arms at the same place share one label."""
    axes.figure.canvas.draw()
    places: list[tuple[np.ndarray[Any, Any], list[int], tuple[float, float]]] = []
    for _, point in points.iterrows():
        at = np.asarray(axes.transData.transform((point[x], point[y])))
        near = next((numbers for place, numbers, _ in places if np.hypot(*(place - at)) < 14), None)
        if near is None:
            places.append((at, [int(point["number"])], (point[x], point[y])))
        else:
            near.append(int(point["number"]))
    for _, numbers, xy in places:
        text = ", ".join(map(str, numbers))
        axes.annotate(text, xy, xytext=(6, 5), textcoords="offset points", fontsize=8)


def gain_against_clipping(*, arms: pd.DataFrame, axes: Axes) -> Axes:
    """Realised Kalman gain against clip fraction, one point an arm; bars span the training steps (and seeds).

    Args:
        arms: From `reports.arms.arm_table`.
        axes: Where to draw.
    """
    points = arms[arms["realised_gain"].notna()] if "realised_gain" in arms else arms.iloc[:0]
    for _, arm in points.iterrows():
        axes.errorbar(
            arm["realised_gain"],
            arm["clip_fraction"],
            xerr=[[arm["realised_gain"] - arm["gain_low"]], [arm["gain_high"] - arm["realised_gain"]]],
            yerr=[[arm["clip_fraction"] - arm["clip_low"]], [arm["clip_high"] - arm["clip_fraction"]]],
            marker=_MARKERS[(arm["number"] - 1) % len(_MARKERS)],
            color=_colour(arm["number"]),
            markersize=7,
            markeredgecolor="black",
            markeredgewidth=0.5,
            linestyle="none",
            capsize=2,
        )
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=_SMALLEST_FRACTION, linscale=0.5)
    axes.set_ylim(-_SMALLEST_FRACTION / 2, 1.5)
    axes.set_yticks([0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    axes.set_xlabel("realised Kalman gain (mean over tokens)")
    axes.set_ylabel("clip fraction (share of tokens)")
    if len(points):
        _label_points(axes, points, "realised_gain", "clip_fraction")
    return axes


def tension_map(*, arms: pd.DataFrame, axes: Axes) -> Axes:
    """Steady-state gain against clipping threshold: what Q, V and kappa set; the shade is the clip fraction seen.

    Arms without clipping stand on a shelf above the finite thresholds. The dashed line is the largest |innovation| of
    the study: nothing can be clipped above it.
    """
    finite = arms[np.isfinite(arms["threshold"])]
    seen = float(arms["max_innovation"].max()) if "max_innovation" in arms else math.nan
    top = max([*finite["threshold"], 1.0, *([seen] if math.isfinite(seen) else [])])
    shelf = top * 6
    placed = arms.assign(height=arms["threshold"].where(np.isfinite(arms["threshold"]), shelf))
    shade = placed["clip_fraction"] if "clip_fraction" in placed else pd.Series(0.0, index=placed.index)
    points = axes.scatter(
        placed["gain"],
        placed["height"],
        c=np.log10(shade.fillna(0.0).clip(lower=_SMALLEST_FRACTION)),
        cmap="cividis_r",
        vmin=math.log10(_SMALLEST_FRACTION),
        vmax=0,
        s=70,
        edgecolor="black",
        linewidth=0.7,
        zorder=3,
    )
    bar = axes.figure.colorbar(points, ax=axes, ticks=range(int(math.log10(_SMALLEST_FRACTION)), 1), pad=0.02)
    bar.ax.set_yticklabels(["≤ 0.001 %", "0.01 %", "0.1 %", "1 %", "10 %", "100 %"])
    bar.set_label("clip fraction seen")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(shelf / 2.2, color="0.6", linewidth=0.8)
    axes.set_ylim(bottom=min([*finite["threshold"], 0.1]) / 3, top=shelf * 3)
    axes.text(
        0.99, shelf / 2, "no clipping", transform=axes.get_yaxis_transform(), ha="right", fontsize=8, color="0.35"
    )
    axes.set_yticks([tick for tick in axes.get_yticks() if tick < shelf / 2.2])
    axes.set_ylim(bottom=min([*finite["threshold"], 0.1]) / 3, top=shelf * 3)
    if math.isfinite(seen):
        axes.axhline(seen, color="0.25", linestyle="--", linewidth=1)
        axes.text(
            0.99,
            seen * 1.08,
            f"largest |innovation| seen: {seen:.3g}",
            transform=axes.get_yaxis_transform(),
            ha="right",
            fontsize=8,
            color="0.25",
        )
    axes.set_xlabel("steady-state Kalman gain")
    axes.set_ylabel("clipping threshold κσ (log-ratio units)")
    _label_points(axes, placed, "gain", "height")
    return axes


def training_curve(*, study: StudyRecord, arms: pd.DataFrame, metric: str, label: str, axes: Axes) -> Axes:
    """One metric over training steps: the mean over an arm's seeds, with bars from the smallest to the largest seed."""
    numbers = dict(zip(arms["arm"], arms["number"], strict=True))
    by_trial = dict(zip(study.trials["trial"], study.trials["arm"], strict=True))
    if metric in study.steps:
        steps = study.steps.assign(arm=study.steps["trial"].map(by_trial)).dropna(subset=[metric])
        for arm, rows in steps.groupby("arm", sort=False):
            number = numbers[str(arm)]
            curve = rows.groupby("step")[metric].agg(["mean", "min", "max"])
            axes.errorbar(
                curve.index,
                curve["mean"],
                yerr=[curve["mean"] - curve["min"], curve["max"] - curve["mean"]],
                color=_colour(number),
                linestyle=_LINES[(number - 1) % len(_LINES)],
                marker=_MARKERS[(number - 1) % len(_MARKERS)],
                markersize=3.5,
                linewidth=1.1,
                capsize=1.5,
                label=str(number),
            )
    axes.set_xlabel("training step")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def accuracy_intervals(*, arms: pd.DataFrame, axes: Axes) -> Axes:
    """avg@k of every evaluated arm with its 95 % interval, clustered by problem."""
    evaluated = arms[arms["accuracy"].notna()] if "accuracy" in arms else arms.iloc[:0]
    for height, (_, arm) in enumerate(evaluated.iloc[::-1].iterrows()):
        axes.errorbar(
            100 * arm["accuracy"],
            height,
            xerr=[[100 * (arm["accuracy"] - arm["low"])], [100 * (arm["high"] - arm["accuracy"])]],
            marker=_MARKERS[(arm["number"] - 1) % len(_MARKERS)],
            color=_colour(arm["number"]),
            markeredgecolor="black",
            markeredgewidth=0.5,
            markersize=6,
            capsize=3,
        )
    names = [f"{number}  {alias or arm}" for number, arm, alias in zip(
        evaluated["number"], evaluated["arm"], evaluated["alias"], strict=True
    )]  # fmt: skip
    axes.set_yticks(range(len(names)), names[::-1])
    axes.set_xlabel("accuracy avg@k (%), 95 % interval over problems")
    return axes
