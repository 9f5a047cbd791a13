"""The tension map: what the study set, what it would have clipped, and the path along which the paper saw a tension."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.analysis.arms import MOST_LINES, shown_arms
from reports.analysis.tension import Bounds, bounds_of, paper_places
from reports.figures.labels import along, label_along, label_points, lay_out, occupied
from reports.figures.style import INK, SHELF, share_text
from reports.figures.tension_background import draw_held, draw_paper, draw_replay, region_label

_AREAS = (34.0, 210.0)
_NOT_EVALUATED = 34.0
# Beyond so many arms bars and rings would cover each other, and numbers are given to those that have a name.
_MOST_DETAILED = 40


def tension_map(
    *,
    arms: pd.DataFrame,
    axes: Axes,
    grid: pd.DataFrame | None = None,
    bounds: Bounds | None = None,
    highlighted: str | None = None,
) -> Axes:
    """Steady-state gain (log) against threshold (log): one point an arm, its area the accuracy.

    Thin circles are the ends of the accuracy's 95 % interval; horizontal bars the realised gain, lowest to highest over
    steps and seeds, where the point is the steady state. Arms without threshold stand on a shelf at the top. Shades and
    contours are clip fractions under replay. Diamonds and arrows are the paper's configurations and the order in which
    it tried those with a threshold; dashed lines hold Q (kappa 3) while V falls. The hatched region has a low gain and
    active clipping.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        axes: Where to draw.
        grid: From `reports.analysis.tension.replayed_grid`; without it there are no contours, and the region is what
            lies below the largest innovation that was measured.
        bounds: Bounds of the region; by default those of a study that registered none.
        highlighted: The arm that the verdict speaks of, which gets its number in any case.
    """
    bounds = bounds or bounds_of(registered=None)
    placed = arms[arms["gain"] > 0]
    if placed.empty:
        axes.text(0.5, 0.5, "no arm has a gain above 0", transform=axes.transAxes, ha="center")
        return axes
    bottom, top = _frame(axes, placed, grid)
    shelf = top * 10**0.3
    height = placed["threshold"].where(np.isfinite(placed["threshold"]), shelf)
    placed = placed.assign(height=height.to_numpy(np.float64))

    contours = draw_replay(axes=axes, grid=grid, bounds=bounds, placed=placed, bottom=bottom)
    held, ticks = draw_held(axes=axes, bottom=bottom, top=top)
    paper = paper_places()
    paper["height"] = paper["threshold"].where(np.isfinite(paper["kappa"]), shelf)
    draw_paper(axes=axes, paper=paper, present=set(placed["title"]))
    area = _Areas(placed)
    detailed = len(placed) <= _MOST_DETAILED
    if detailed:
        for place, (_, arm) in enumerate(placed.iterrows()):
            _draw_arm(axes, arm, area(place), bounds)
    else:
        _draw_all(axes, placed, area, bounds)
    _legend(axes, placed, area, bounds)

    lay_out(axes=axes)
    named = _named(placed, highlighted)
    absent = paper[~paper["title"].isin(set(placed["title"]))].assign(number=0, numerics="exact")
    taken = occupied(axes=axes, x=placed["gain"], y=placed["height"], size=19 if detailed else 9)
    taken += occupied(axes=axes, x=absent["gain"], y=absent["height"], size=16)
    present = paper[paper["title"].isin(set(placed["title"]))]
    taken += occupied(axes=axes, x=present["gain"], y=present["height"], size=28)
    tried = paper.loc[np.isfinite(paper["kappa"]), ["gain", "height"]].to_numpy(np.float64)
    taken += along(axes=axes, path=tried)
    label_points(axes=axes, x=absent["gain"].tolist(), y=absent["height"].tolist(), arms=absent, taken=taken, clear=1.0)
    if detailed:
        for _, arm in placed[placed["realised_gain_low"] > 0].iterrows():
            gains = (arm["realised_gain_low"], arm["gain"])
            taken += along(axes=axes, path=np.array([[gain, arm["height"]] for gain in gains]))
    region = region_label(placed=placed, grid=grid, bounds=bounds, bottom=bottom)
    for text, path, size in [*held, *region]:
        label_along(axes=axes, text=text, path=path, taken=taken, size=size)
    for _, path, _ in held:
        taken += along(axes=axes, path=path)
    if region:
        taken += along(axes=axes, path=np.array([[bounds.gain, bottom], [bounds.gain, region[0][1][:, 1].max()]]))
    # Contours are long and have room elsewhere; the best place for an arm's number is at its right.
    around = taken + occupied(axes=axes, x=placed["gain"], y=placed["height"], size=14, right=18)
    before = len(around)
    for text, path, size in contours:
        label_along(axes=axes, text=text, path=path, taken=around, size=size)
    taken += around[before:]
    clear = 4.0 if detailed else 0.0
    label_points(axes=axes, x=named["gain"].tolist(), y=named["height"].tolist(), arms=named, taken=taken, clear=clear)
    for text, path, size in ticks:
        label_along(axes=axes, text=text, path=path, taken=taken, size=size)
    return axes


def _frame(axes: Axes, placed: pd.DataFrame, grid: pd.DataFrame | None) -> tuple[float, float]:
    """Scales, limits and ticks; returns the lowest and the highest threshold shown."""
    paper = paper_places()
    finite = [value for value in (*placed["threshold"], *paper["threshold"]) if math.isfinite(value)]
    seen = placed["max_innovation"].dropna().tolist()
    if grid is not None and len(grid):
        bottom, top = float(grid["threshold"].min()), float(grid["threshold"].max())
        left, right = float(grid["gain"].min()), float(grid["gain"].max())
    else:
        bottom = 10.0 ** (math.log10(min([*finite, *seen])) - 0.4)
        top = 10.0 ** (math.log10(max([*finite, *seen])) + 0.2)
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


class _Areas:
    """Area of a point from its accuracy, linear between the study's lowest and highest interval end."""

    def __init__(self, placed: pd.DataFrame) -> None:
        self._table = placed[["accuracy", "low", "high"]].astype(float)
        values = self._table.to_numpy()
        finite = values[np.isfinite(values)]
        self.low, self.high = (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)

    def __call__(self, place: int) -> dict[str, float]:
        """Areas in square points of the accuracy and of its interval's ends; NaN where there are none."""
        return {str(name): self.of(float(value)) for name, value in self._table.iloc[place].items()}

    def of(self, accuracy: float) -> float:
        """The area of one accuracy."""
        if not math.isfinite(accuracy):
            return math.nan
        share = (accuracy - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return _AREAS[0] + share * (_AREAS[1] - _AREAS[0])


def _draw_arm(axes: Axes, arm: "pd.Series[Any]", area: dict[str, float], bounds: Bounds) -> None:
    """A point with the ends of its accuracy's interval, and a line to the realised gain."""
    x, y = arm["gain"], arm["height"]
    if arm["realised_gain_low"] > 0:
        ends = [arm["realised_gain_low"], arm["realised_gain_high"]]
        axes.plot(ends, [y, y], color="0.25", linewidth=0.9, zorder=2.5, marker="|", markersize=4)
        axes.plot([arm["realised_gain"], x], [y, y], color="0.25", linewidth=0.6, zorder=2.5)
    if math.isnan(arm["clip_fraction"]):
        axes.scatter(x, y, s=_NOT_EVALUATED, color="black", marker="x", linewidth=1.3, zorder=3)
        return
    evaluated = math.isfinite(area["accuracy"])
    size, line = (area["accuracy"], 0.9) if evaluated else (_NOT_EVALUATED, 0.5)
    axes.scatter(x, y, s=size, color=_fill(arm["clip_fraction"], bounds), edgecolor="black", linewidth=line, zorder=3)
    for end in ("low", "high"):
        if math.isfinite(area[end]):
            ink = "white" if end == "low" and arm["clip_fraction"] >= bounds.clip_fraction else "0.15"
            axes.scatter(x, y, s=area[end], facecolor="none", edgecolor=ink, linewidth=0.6, zorder=3.1)


def _draw_all(axes: Axes, placed: pd.DataFrame, area: _Areas, bounds: Bounds) -> None:
    """Points alone: the bars and rings of hundreds of arms would cover each other."""
    measured = placed["clip_fraction"].notna().to_numpy()
    sizes = np.array([area(place)["accuracy"] for place in range(len(placed))])
    sizes = np.where(np.isfinite(sizes), sizes, _NOT_EVALUATED) / 2
    colours = [_fill(fraction, bounds) for fraction in placed.loc[measured, "clip_fraction"]]
    axes.scatter(placed.loc[measured, "gain"], placed.loc[measured, "height"], s=sizes[measured], c=colours,
                 edgecolor="black", linewidth=0.6, zorder=3)  # fmt: skip
    axes.scatter(placed.loc[~measured, "gain"], placed.loc[~measured, "height"], s=_NOT_EVALUATED / 2, color="black",
                 marker="x", zorder=3)  # fmt: skip


def _fill(fraction: float, bounds: Bounds) -> str:
    return "0.15" if fraction >= bounds.clip_fraction else "0.62" if fraction > 0 else "white"


def _named(placed: pd.DataFrame, highlighted: str | None) -> pd.DataFrame:
    """The arms that get their number: all of them, or of many those with a name, and the extremes."""
    if len(placed) <= _MOST_DETAILED:
        return placed
    always = (highlighted,) if highlighted else ()
    return placed[placed["arm"].isin(shown_arms(arms=placed, reference=None, always=always, most=MOST_LINES))]


def _legend(axes: Axes, placed: pd.DataFrame, area: _Areas, bounds: Bounds) -> None:
    def dot(size: float, shade: str, label: str, marker: str = "o", edge: float = 0.9) -> Line2D:
        return Line2D([], [], linestyle="none", marker=marker, markersize=math.sqrt(size), markerfacecolor=shade,
                      markeredgecolor="black", markeredgewidth=edge, label=label)  # fmt: skip

    active = share_text(bounds.clip_fraction)
    entries = [
        dot(60, "0.15", f"clipped ≥ {active}"),
        dot(60, "0.62", f"clipped < {active}"),
        dot(60, "white", "clipped nothing"),
    ]
    if placed["clip_fraction"].isna().any():
        entries.append(dot(34, "black", "not measured", "x", 1.3))
    if math.isfinite(area.low) and area.high > area.low:
        entries += [
            dot(area.of(value), "0.95", f"accuracy {100 * value:.1f} %")
            for value in np.linspace(area.low, area.high, 3).tolist()
        ]
        if len(placed) <= _MOST_DETAILED:
            entries.append(dot(90, "none", "ends of its 95 %\ninterval", "o", 0.55))
    if len(placed) <= _MOST_DETAILED and placed["realised_gain_low"].gt(0).any():
        entries.append(Line2D([], [], color="0.25", marker="|", linewidth=0.9, label="realised gain,\nover steps"))
    entries.append(dot(88, "none", "configuration\nof the paper", "D", 1.1))
    entries.append(Line2D([], [], color="black", linewidth=1.3, marker=">", markersize=4, label="the paper's path"))
    axes.legend(handles=entries, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, labelspacing=0.8,
                borderaxespad=0.2)  # fmt: skip
