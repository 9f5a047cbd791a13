"""What the tension map's points stand on: replayed clip fractions, lines of held Q, and the paper's own path."""

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from iskpo.closed_form import steady_state_gain, steady_state_threshold
from reports.analysis.tension import Bounds
from reports.figures.style import CLIP_COLOURS, CLIP_LEVELS, share_text

# The paper's weak smoothing and the strong one of KPO; V falls along the lines.
_HELD = (1e-2, 1e-6)
_HATCH: dict[str, Any] = {"hatch": "////", "zorder": 0.5}

# A text, the places in data units (n, 2) where it may stand, and the size of its letters in points.
Label = tuple[str, npt.NDArray[np.float64], float]


def draw_replay(*, axes: Axes, grid: pd.DataFrame | None, bounds: Bounds, placed: pd.DataFrame, bottom: float) -> None:
    """Classes of clip fraction in colours, and the region hatched."""
    if grid is None or grid.empty:
        seen = placed["max_innovation"].dropna()
        left, right = axes.get_xlim()
        if len(seen) and left < bounds.gain:
            corner = [left, min(bounds.gain, right), min(bounds.gain, right), left]
            axes.fill(corner, [bottom, bottom, seen.max(), seen.max()], facecolor="none", edgecolor="0.7", **_HATCH)
        return
    table = grid.pivot_table(index="threshold", columns="gain", values="clip_fraction")
    gains, thresholds, share = table.columns.to_numpy(float), table.index.to_numpy(float), table.to_numpy(float)
    axes.contourf(gains, thresholds, share, levels=[0.0, *CLIP_LEVELS, 1.0 + 1e-9], colors=CLIP_COLOURS, zorder=0.1)
    axes.contour(gains, thresholds, share, levels=CLIP_LEVELS, colors="0.45", linewidths=0.5, zorder=0.4)
    low = gains[gains <= bounds.gain]
    if len(low) > 1:
        # The last column is the bound itself, so that the region ends there and not at the nearest setting.
        edge = [np.interp(math.log(bounds.gain), np.log(gains), row) for row in share]
        inside = np.column_stack([share[:, : len(low)], edge])
        ends = np.append(low, bounds.gain * (1 + 1e-9))
        hatched = axes.contourf(ends, thresholds, inside, levels=[bounds.clip_fraction, 1.0 + 1e-9], colors="none",
                                hatches=["////"], zorder=0.5)  # fmt: skip
        hatched.set_edgecolor("0.45")
        hatched.set_linewidth(0.0)
        axes.contour(
            ends, thresholds, inside, levels=[bounds.clip_fraction], colors="black", linewidths=1.3, zorder=0.9
        )
        reach = thresholds[np.asarray(edge) >= bounds.clip_fraction]
        if len(reach):
            axes.plot([bounds.gain] * 2, [bottom, reach.max()], color="black", linewidth=1.3, zorder=0.9)


def draw_held(*, axes: Axes, bottom: float, top: float) -> list[Label]:
    """Where V takes a setting that holds Q, kappa 3; returns the lines' labels."""
    lines: list[Label] = []
    for q in _HELD:
        v = np.geomspace(q * 1e-3, 1e3, 400)
        x = np.asarray(steady_state_gain(q=np.full_like(v, q), v=v))
        y = np.asarray(steady_state_threshold(q=np.full_like(v, q), v=v, kappa=np.full_like(v, 3.0)))
        left, right = axes.get_xlim()
        seen = (y >= bottom) & (y <= top) & (x >= left) & (x <= right)
        axes.plot(x[seen], y[seen], color="black", linewidth=0.9, linestyle=(0, (5, 3)), zorder=1.2)
        path = np.column_stack([x[seen], y[seen]])
        if len(path):
            lines.append((f"Q = {_power(q)} held, V falls →", path, 8.0))
    return lines


def _power(value: float) -> str:
    return f"$10^{{{round(math.log10(value))}}}$"


def draw_paper(*, axes: Axes, paper: pd.DataFrame, present: set[str]) -> None:
    """Diamonds, larger around an arm of the study, and arrows in the order in which the paper tried thresholds."""
    for _, known in paper.iterrows():
        size = 14.5 if known["title"] in present else 9.0
        axes.plot(known["gain"], known["height"], linestyle="none", marker="D", markersize=size, markerfacecolor="none",
                  markeredgecolor="black", markeredgewidth=1.1, zorder=2.4)  # fmt: skip
    tried = paper[np.isfinite(paper["kappa"])]
    places = tried[["gain", "height"]].to_numpy(np.float64)
    for start, end in itertools.pairwise(places):
        axes.annotate("", xy=tuple(end), xytext=tuple(start), zorder=2.3, arrowprops={
            "arrowstyle": "-|>", "color": "black", "linewidth": 1.3, "shrinkA": 7, "shrinkB": 7})  # fmt: skip


def region_label(*, placed: pd.DataFrame, grid: pd.DataFrame | None, bounds: Bounds, bottom: float) -> list[Label]:
    """The name of the hatched region and places inside of it, best first."""
    text = f"low gain (≤ {share_text(bounds.gain)}),\nactive clipping" if bounds.registered else (
        "low gain, active clipping:\nuntried by the paper")  # fmt: skip
    if grid is not None and len(grid):
        inside = grid[(grid["gain"] <= bounds.gain) & (grid["clip_fraction"] >= bounds.clip_fraction)]
        places = inside[["gain", "threshold"]].to_numpy(np.float64)
    else:
        seen = placed["max_innovation"].dropna()
        if seen.empty:
            return []
        gains = np.geomspace(placed["gain"].min(), bounds.gain, 12)
        places = np.array([(x, y) for y in np.geomspace(bottom * 1.3, seen.max() / 1.3, 12) for x in gains])
    return [(text, places, 9.0)] if len(places) else []
