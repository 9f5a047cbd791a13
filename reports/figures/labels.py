"""Labels beside points that neither cover each other nor a point."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from reports.figures.style import INK

Bar = tuple[tuple[float, float], tuple[float, float]]
_HALO = [withStroke(linewidth=2.2, foreground="white")]
# A label farther from its point than this, in points, is tied to it by a line.
_TIED = 15
_AIR = 6.0  # pixels at 100 dpi, between a text and the next
# Of more arms at one place the label has the numbers alone.
_MOST_NOTES = 3
_SAME_PLACE = 11.0  # pixels at 100 dpi, about a marker
# Offsets in points with the side of the label that is held there, best first.
_PLACES = tuple(
    (radius * x, radius * y, {1: "left", -1: "right", 0: "center"}[x], {1: "bottom", -1: "top", 0: "center"}[y])
    for radius in (7, 15, 25, 40, 55)
    for x, y in ((1, 0), (1, 1), (-1, 0), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1))
)


def label_points(
    *,
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    arms: pd.DataFrame,
    bars: Sequence[Bar] = (),
    taken: list[Bbox] | None = None,
    clear: float = 0.0,
) -> None:
    """Write each arm's number, and the paper's name where tables call it so too, beside its point.

    Arms at the same place share a label, which has their numbers alone where they are more than three. Call it last,
    when limits and scales are final.

    Args:
        axes: The axes with the points.
        x: Horizontal positions, in data units, one an arm.
        y: Vertical positions.
        arms: From `reports.analysis.arms.arm_table`, in the same order, with ``note``: what follows the number.
        bars: Error bars, which no label is to cover: both ends of each, in data units.
        taken: What else no label is to cover, in pixels (`occupied`); the labels' own boxes are added.
        clear: Points (of type) that labels stand farther off, for larger markers.
    """
    if not len(x):
        return
    lay_out(axes=axes)
    points = axes.transData.transform(np.column_stack([x, y]))
    groups = _groups(points)
    taken = [] if taken is None else taken
    taken += [Bbox.from_bounds(px - 5, py - 5, 10, 10) for px, py in points]
    for start, end in bars:
        (x0, y0), (x1, y1) = axes.transData.transform([start, end])
        taken.append(Bbox.from_extents(min(x0, x1) - 2, min(y0, y1) - 2, max(x0, x1) + 2, max(y0, y1) + 2))
    for group in groups:
        text = _text(arms.iloc[group])
        _place(axes, text, (x[group[0]], y[group[0]]), taken, clear)


def lay_out(*, axes: Axes) -> None:
    """Settle where everything stands, which labels are then placed by; nothing is drawn."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()


def occupied(*, axes: Axes, x: npt.ArrayLike, y: npt.ArrayLike, size: float = 14.0, right: float = 0.0) -> list[Bbox]:
    """Boxes of so many pixels around points in data units, or as far to their right, for labels to stay out of."""
    points = axes.transData.transform(np.column_stack([np.asarray(x, np.float64), np.asarray(y, np.float64)]))
    return [Bbox.from_bounds(px + right - size / 2, py - size / 2, size, size) for px, py in points]


def along(*, axes: Axes, path: npt.NDArray[np.float64], size: float = 5.0) -> list[Bbox]:
    """Boxes of so many pixels along a polyline in data units (n, 2), for labels to stay off it."""
    if len(path) < 2:
        return []
    pixels = axes.transData.transform(path)
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(pixels, axis=0).T))])
    at = np.arange(0.0, steps[-1], size)
    x, y = (np.interp(at, steps, pixels[:, axis]) for axis in (0, 1))
    return [Bbox.from_bounds(px - size / 2, py - size / 2, size, size) for px, py in zip(x, y, strict=True)]


def label_along(*, axes: Axes, text: str, path: npt.NDArray[np.float64], taken: list[Bbox], size: float = 8.0) -> None:
    """Write a text where a path, or a region given by its points, has room for it; nowhere if there is none.

    Args:
        axes: The axes.
        text: What to write.
        path: Places in data units (n, 2); those nearest to the middle are tried first, and for a single place those
            around it.
        taken: Boxes in pixels that are not to be covered; that of the label is added.
        size: Height of the letters, in points.
    """
    frame = axes.get_window_extent()
    label = axes.annotate(text, path[0], xytext=(0, 0), textcoords="offset points", ha="center", va="center",
                          fontsize=size, color=INK, zorder=4, path_effects=_HALO)  # fmt: skip
    if len(path) == 1:
        offsets, order = [(0, 8), (0, -8), (17, 0), (-17, 0), (15, 8), (-15, 8), (15, -8), (-15, -8)], np.array([0])
    else:
        pixels = axes.transData.transform(path)
        middle = np.hypot(*(pixels - np.median(pixels, axis=0)).T)
        offsets, order = [(0, 0)], np.argsort(middle, kind="stable")[:: max(1, len(path) // 150)]
    for row in order:
        for offset in offsets:
            label.xy = tuple(path[row])
            label.set_position(offset)
            box = label.get_window_extent()
            if _area(box) - _overlap(box, frame) < 1e-6 and not any(box.overlaps(other) for other in taken):
                taken.append(box.padded(_AIR))
                return
    label.remove()


def _groups(points: npt.NDArray[np.float64]) -> list[list[int]]:
    groups: list[list[int]] = []
    for index, point in enumerate(points):
        near = [g for g in groups if np.hypot(*(points[g[0]] - point)) < _SAME_PLACE]
        if near:
            near[0].append(index)
        else:
            groups.append([index])
    return groups


def _text(arms: pd.DataFrame) -> str:
    public = arms["numerics"] != "exact"
    # A configuration of the paper that the study has not has no number.
    titled = pd.Series([_has_papers_name(arm) for _, arm in arms.iterrows()], index=arms.index, dtype=bool)
    named = [
        f"{arm['number'] or ''} {arm['title']}".strip() + arm["note"] for _, arm in arms[~public & titled].iterrows()
    ]
    named += [f"{arm['number']} public float32{arm['note']}" for _, arm in arms[public].iterrows()]
    others = arms[~public & ~titled]
    if len(others) > _MOST_NOTES:
        others = others.assign(note="")
    bare = [f"{arm['number']}{arm['note']}" for _, arm in others.iterrows()]
    return "\n".join([*named, *([", ".join(bare)] if bare else [])])


def _has_papers_name(arm: "pd.Series[Any]") -> bool:
    """Whether an arm is called as in the paper in tables too: with settings of its own it has another name."""
    return bool(arm["title"]) and arm.get("label", arm["title"]) == arm["title"]


def _place(axes: Axes, text: str, at: tuple[float, float], taken: list[Bbox], clear: float) -> None:
    frame = axes.get_window_extent()
    best: tuple[float, Any, Bbox] | None = None
    for cost, (dx, dy, side, height) in enumerate(_PLACES):
        x, y = (part + math.copysign(clear, part) if part else 0.0 for part in (dx, dy))
        label = axes.annotate(
            text, at, xytext=(x, y), textcoords="offset points", ha=side, va=height, fontsize=8.5, color=INK,
            linespacing=1.0, zorder=5, path_effects=_HALO,
        )  # fmt: skip
        box = label.get_window_extent()
        overlap = sum(_overlap(box, other) for other in taken) + 10 * (_area(box) - _overlap(box, frame))
        score = overlap * 1000 + cost
        if best is None or score < best[0]:
            if best is not None:
                best[1].remove()
            best = (score, label, box)
        else:
            label.remove()
        if overlap == 0:
            break
    if best is None:
        return
    taken.append(best[2])
    if np.hypot(*best[1].get_position()) > _TIED + clear:
        _tie(axes, best[2], at)


def _tie(axes: Axes, box: Bbox, at: tuple[float, float]) -> None:
    """A thin line from the nearest place of a label's edge to its point, which a reader could not pair otherwise."""
    px, py = axes.transData.transform(at)
    start = np.array([np.clip(px, box.x0, box.x1), np.clip(py, box.y0, box.y1)])
    end = np.array([px, py])
    length = float(np.hypot(*(end - start)))
    end = end - (end - start) * min(9.0 / length, 0.5)  # up to the marker's edge
    (x0, y0), (x1, y1) = axes.transData.inverted().transform([start, end])
    axes.plot([x0, x1], [y0, y1], color="0.35", linewidth=0.6, zorder=2.2)


def _area(box: Bbox) -> float:
    return float(box.width * box.height)


def _overlap(one: Bbox, other: Bbox) -> float:
    common = Bbox.intersection(one, other)
    return _area(common) if common is not None else 0.0
