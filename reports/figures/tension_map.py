"""The tension map: what the study set, what it would have clipped, and the path along which the paper saw a tension."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.analysis.arms import MOST_LINES
from reports.analysis.tension import Bounds, bounds_of, paper_places
from reports.data.numbers import points
from reports.figures.labels import along, label_along, label_points, lay_out, occupied
from reports.figures.style import CLIP_COLOURS, CLIP_LEVELS, INK, SHELF, share_text, write_instead
from reports.figures.tension_background import draw_held, draw_paper, draw_replay, region_label

# Area of a point, in square points.
_SIZE = 52.0
# Beyond so many arms bars would cover each other.
_MOST_DETAILED = 40


def tension_map(
    *,
    arms: pd.DataFrame,
    axes: Axes,
    grid: pd.DataFrame | None = None,
    bounds: Bounds | None = None,
    named: Collection[str] | None = None,
) -> Axes:
    """Steady-state gain (log) against threshold (log): a point an arm, its colour the share that it clipped.

    The number at a point is the arm's, with its accuracy in per cent. Horizontal bars: the realised gain, lowest to
    highest over steps and seeds, where the point is the steady state. Arms without threshold stand on a shelf at the
    top. The background has the same colours: clip fractions under replay. Where an arm of the study is one of the
    paper's with a threshold, diamonds are the paper's configurations, and arrows the order in which it tried them;
    dashed lines hold Q (kappa 3) while V falls. The hatched region has a low gain and active clipping.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        axes: Where to draw.
        grid: From `reports.analysis.tension.replayed_grid`; without it there is no background, and the region is what
            lies below the largest innovation that was measured.
        bounds: Bounds of the region; by default those of a study that registered none.
        named: Arms that get their numbers where there are more than twelve; all by default.
    """
    bounds = bounds or bounds_of(registered=None)
    placed = arms[arms["gain"] > 0]
    if placed.empty:
        return write_instead(axes=axes, text="no arm has a gain above 0")
    paper = paper_places()
    clipping = paper[np.isfinite(paper["kappa"])]
    on_path = bool(clipping["title"].isin(set(placed["title"])).any())
    bottom, top = _frame(axes, placed, clipping if on_path else clipping.iloc[:0], grid)
    shelf = top * 10**0.3
    height = placed["threshold"].where(np.isfinite(placed["threshold"]), shelf)
    numbers = dict(zip(arms["arm"], arms["number"], strict=True))
    notes = [_with_accuracy(arm, numbers) for _, arm in placed.iterrows()]
    placed = placed.assign(height=height.to_numpy(np.float64), note=notes)
    paper = paper.assign(height=paper["threshold"].where(np.isfinite(paper["kappa"]), shelf), note="")
    draw_replay(axes=axes, grid=grid, bounds=bounds, placed=placed, bottom=bottom)
    held = draw_held(axes=axes, bottom=bottom, top=top) if on_path else []
    if on_path:
        draw_paper(axes=axes, paper=paper, present=set(placed["title"]))
    detailed = len(placed) <= _MOST_DETAILED
    _draw_arms(axes, placed, detailed=detailed)
    _legend(axes, placed, detailed=detailed, on_path=on_path)
    clip_scale(axes=axes, label="tokens clipped")

    lay_out(axes=axes)
    labelled = placed if named is None or len(arms) <= MOST_LINES else placed[placed["arm"].isin(named)]
    known = paper if on_path else paper.iloc[:0]
    absent = known[~known["title"].isin(set(placed["title"]))].assign(number=0, numerics="exact")
    taken = occupied(axes=axes, x=placed["gain"], y=placed["height"], size=19 if detailed else 9)
    taken += occupied(axes=axes, x=absent["gain"], y=absent["height"], size=16)
    present = known[known["title"].isin(set(placed["title"]))]
    taken += occupied(axes=axes, x=present["gain"], y=present["height"], size=28)
    tried = known.loc[np.isfinite(known["kappa"]), ["gain", "height"]].to_numpy(np.float64)
    taken += along(axes=axes, path=tried)
    taken += along(axes=axes, path=np.array([[x, top] for x in axes.get_xlim()]))
    label_points(axes=axes, x=absent["gain"].tolist(), y=absent["height"].tolist(), arms=absent, taken=taken, clear=1.0)
    if detailed:
        for _, arm in placed[placed["realised_gain_low"] > 0].iterrows():
            gains = (arm["realised_gain_low"], arm["gain"])
            taken += along(axes=axes, path=np.array([[gain, arm["height"]] for gain in gains]))
    clear = 4.0 if detailed else 0.0
    x, y = labelled["gain"].tolist(), labelled["height"].tolist()
    label_points(axes=axes, x=x, y=y, arms=labelled, taken=taken, clear=clear)
    region = region_label(placed=placed, grid=grid, bounds=bounds, bottom=bottom)
    for text, places, size in [*region, *held]:
        label_along(axes=axes, text=text, path=places, taken=taken, size=size)
    return axes


def _frame(axes: Axes, placed: pd.DataFrame, paper: pd.DataFrame, grid: pd.DataFrame | None) -> tuple[float, float]:
    """Scales, limits and ticks; returns the lowest and the highest threshold shown."""
    finite = [value for value in (*placed["threshold"], *paper["threshold"]) if math.isfinite(value)]
    finite = [*finite, *placed["max_innovation"].dropna()] or [0.1, 1.0]
    if grid is not None and len(grid):
        bottom, top = float(grid["threshold"].min()), float(grid["threshold"].max())
        left, right = float(grid["gain"].min()), float(grid["gain"].max())
    else:
        bottom = 10.0 ** (math.log10(min(finite)) - 0.4)
        top = 10.0 ** (math.log10(max(finite)) + 0.2)
        left = min([*placed["gain"], *paper["gain"]]) / 3
        right = min(max([*placed["gain"], *paper["gain"]]) * 2, 1.0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top * 10**0.6)
    axes.axhspan(top, top * 10**0.6, color=SHELF, zorder=0, linewidth=0)
    axes.axhline(top, color=INK, linewidth=0.6, zorder=0.5)
    axes.grid(visible=False)
    shelf = top * 10**0.3
    decades = [10.0**power for power in range(math.ceil(math.log10(bottom)), math.floor(math.log10(top) + 1e-9) + 1)]
    axes.yaxis.set_major_locator(FixedLocator([*decades, shelf]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: "κ = ∞" if value > top else f"{value:g}"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda gain, _: share_text(gain)))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.set_xlabel("steady-state Kalman gain, share of an innovation that is taken in")
    axes.set_ylabel("steady-state threshold κσ, units of log ratio")
    return bottom, top


def _draw_arms(axes: Axes, placed: pd.DataFrame, *, detailed: bool) -> None:
    """Points in the colour of what they clipped, and, of few arms, lines to their realised gains."""
    measured = placed["clip_fraction"].notna()
    size = _SIZE if detailed else _SIZE / 2
    axes.scatter(
        placed.loc[measured, "gain"], placed.loc[measured, "height"], s=size, c=placed.loc[measured, "clip_fraction"],
        cmap=ListedColormap(CLIP_COLOURS), norm=_classes(), edgecolor="black", linewidth=0.9, zorder=3,
    )  # fmt: skip
    unknown = placed[~measured]
    axes.plot(unknown["gain"], unknown["height"], linestyle="none", color="black", marker="x", markeredgewidth=1.3,
              zorder=3)  # fmt: skip
    for _, arm in placed[placed["realised_gain_low"] > 0].iterrows() if detailed else ():
        x, y = arm["gain"], arm["height"]
        ends = [arm["realised_gain_low"], arm["realised_gain_high"]]
        axes.plot(ends, [y, y], color="0.25", linewidth=0.9, zorder=2.5, marker="|", markersize=4)
        axes.plot([arm["realised_gain"], x], [y, y], color="0.25", linewidth=0.6, zorder=2.5)


def _classes() -> BoundaryNorm:
    return BoundaryNorm([0.0, *CLIP_LEVELS, 1.0 + 1e-9], len(CLIP_COLOURS))


def clip_scale(*, axes: Axes, label: str) -> None:
    """The colours of clip fractions, with their shares, beside a map.

    Args:
        axes: The map.
        label: What was clipped.
    """
    scale = ScalarMappable(_classes(), ListedColormap(CLIP_COLOURS))
    bar = axes.figure.colorbar(scale, ax=axes, spacing="uniform", ticks=list(CLIP_LEVELS), pad=0.02, aspect=28)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: share_text(share)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label(label)


def _with_accuracy(arm: "pd.Series[Any]", numbers: dict[str, int]) -> str:
    """What follows an arm's number: the arm that it is by proof, or its accuracy in per cent."""
    if arm.get("same_as"):
        return f" = {numbers[arm['same_as']]}"
    return f": {points(arm['accuracy'])}" if pd.notna(arm["accuracy"]) else ""


def _legend(axes: Axes, placed: pd.DataFrame, *, detailed: bool, on_path: bool) -> None:
    entries = []
    if detailed and placed["realised_gain_low"].gt(0).any():
        entries.append(Line2D([], [], color="0.25", marker="|", linewidth=0.9, label="realised gain, over steps"))
    if placed["clip_fraction"].isna().any():
        entries.append(Line2D([], [], linestyle="none", marker="x", color="black", label="not measured"))
    if on_path:
        words = "Q, V, κ of the paper (arrows: its path)"
        entries.append(Line2D([], [], linestyle="none", marker="D", markersize=8, markerfacecolor="none",
                              markeredgecolor="black", label=words))  # fmt: skip
    if entries:
        axes.legend(handles=entries, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=len(entries), frameon=False,
                    borderaxespad=0.0)  # fmt: skip
