"""The map of a replay: how much each gain and threshold would have clipped, with the study's own arms on it."""

import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.analysis.arms import arm_table
from reports.data.load import load_record
from reports.figures.labels import label_points
from reports.figures.style import CLIP_COLOURS, CLIP_LEVELS, SHELF, WIDTH, share_text, use_style
from reports.figures.tension_map import clip_scale


def replay_map(*, pooled: pd.DataFrame, arms: pd.DataFrame, axes: Axes) -> Axes:
    """Clip fraction over steady-state gain (log) and threshold (log), classes by decades.

    White is less than one token in 100,000. Points are the study's arms by number; those without threshold stand on a
    shelf at the top. The grid starts every sequence at P_0 = 0, as the arms do unless the study says otherwise.

    Args:
        pooled: Rows of a replayed grid, all trials together: gain, threshold, clip_fraction.
        arms: From `reports.analysis.arms.arm_table`.
        axes: Where to draw.
    """
    # The same gain and threshold come out of Q, V and kappa with another rounding in every row.
    rounded = pooled.assign(gain=_digits(pooled["gain"]), threshold=_digits(pooled["threshold"]))
    grid = rounded.pivot_table(index="threshold", columns="gain", values="clip_fraction")
    gains, thresholds = grid.columns.to_numpy(np.float64), grid.index.to_numpy(np.float64)
    bounds = [0.0, *CLIP_LEVELS, 1.0 + 1e-9]
    axes.contourf(gains, thresholds, grid.to_numpy(), levels=bounds, colors=CLIP_COLOURS, zorder=0)
    axes.contour(gains, thresholds, grid.to_numpy(), levels=CLIP_LEVELS, colors="black", linewidths=0.6, zorder=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    shelf, top = thresholds[-1] * 10**0.2, thresholds[-1] * 10**0.4
    axes.set_xlim(gains[0], gains[-1])
    axes.set_ylim(thresholds[0], top)
    axes.axhspan(thresholds[-1], top, color=SHELF, zorder=0, linewidth=0)

    height = arms["threshold"].where(np.isfinite(arms["threshold"]), shelf)
    inside = arms["gain"].between(gains[0], gains[-1]) & height.between(thresholds[0], top)
    placed, height = arms[inside], height[inside]
    axes.scatter(placed["gain"], height, s=38, color="white", edgecolor="black", linewidth=0.9, zorder=3, clip_on=False)

    powers = range(math.ceil(math.log10(thresholds[0])), math.floor(math.log10(thresholds[-1])) + 1)
    axes.yaxis.set_major_locator(FixedLocator([*(10.0**power for power in powers), shelf]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: "κ = ∞" if value == shelf else f"{value:g}"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda gain, _: share_text(gain)))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.set_xlabel("steady-state Kalman gain")
    axes.set_ylabel("steady-state threshold κσ, log-ratio units")
    clip_scale(axes=axes, label="tokens clipped under replay")
    label_points(axes=axes, x=placed["gain"].tolist(), y=height.tolist(), arms=placed.assign(note=""))
    return axes


def save_replay_map(*, output: Path, pooled: pd.DataFrame, folder: Path) -> None:
    """Draw the map of a study's replay and write it as SVG and PNG.

    Args:
        output: The study's folder, whose arms are marked.
        pooled: As for `replay_map`.
        folder: Where ``clip_fraction.svg`` and ``.png`` go; exists.
    """
    use_style()
    figure, axes = plt.subplots(figsize=(WIDTH, 4.1), layout="constrained")
    replay_map(pooled=pooled, arms=arm_table(study=load_record(output=output)), axes=axes)
    tokens = int(pooled["tokens"].iloc[0])
    note = f"Replay of {tokens:,} recorded tokens, $P_0 = 0$; the policy does not move under replay."
    figure.supxlabel(note, fontsize=8, color="0.35")
    # No date in the file: the same data give the same bytes.
    figure.savefig(folder / "clip_fraction.svg", metadata={"Date": None})
    figure.savefig(folder / "clip_fraction.png", dpi=200)
    plt.close(figure)


def _digits(values: "pd.Series[float]") -> "pd.Series[float]":
    """Twelve significant digits."""
    exponent = np.floor(np.log10(values))
    rounded: pd.Series[float] = (values / 10**exponent).round(12) * 10**exponent
    return rounded
