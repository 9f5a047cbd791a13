"""Labels beside points that neither cover each other nor a point."""

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
_SAME_PLACE = 11.0  # pixels at 100 dpi, about a marker
# Offsets in points with the side of the label that is held there, best first.
_PLACES = tuple(
    (radius * x, radius * y, {1: "left", -1: "right", 0: "center"}[x], {1: "bottom", -1: "top", 0: "center"}[y])
    for radius in (7, 15, 25)
    for x, y in ((1, 0), (1, 1), (-1, 0), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1))
)


def label_points(
    *, axes: Axes, x: Sequence[float], y: Sequence[float], arms: pd.DataFrame, bars: Sequence[Bar] = ()
) -> None:
    """Write each arm's number, and the paper's name where it has one, beside its point.

    Arms at the same place share a label. Call it last, when limits and scales are final.

    Args:
        axes: The axes with the points.
        x: Horizontal positions, in data units, one an arm.
        y: Vertical positions.
        arms: From `reports.arms.arm_table`, in the same order.
        bars: Error bars, which no label is to cover: both ends of each, in data units.
    """
    axes.figure.canvas.draw()
    points = axes.transData.transform(np.column_stack([x, y]))
    groups = _groups(points)
    taken = [Bbox.from_bounds(px - 5, py - 5, 10, 10) for px, py in points]
    for start, end in bars:
        (x0, y0), (x1, y1) = axes.transData.transform([start, end])
        taken.append(Bbox.from_extents(min(x0, x1) - 2, min(y0, y1) - 2, max(x0, x1) + 2, max(y0, y1) + 2))
    for group in groups:
        text = _text(arms.iloc[group])
        _place(axes, text, (x[group[0]], y[group[0]]), taken)


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
    named = [f"{arm['number']} {arm['title']}" for _, arm in arms[~public].iterrows() if arm["title"]]
    named += [f"{number} public float32" for number in arms["number"][public]]
    bare = [str(arm["number"]) for _, arm in arms[~public].iterrows() if not arm["title"]]
    return "\n".join([*named, *([", ".join(bare)] if bare else [])])


def _place(axes: Axes, text: str, at: tuple[float, float], taken: list[Bbox]) -> None:
    frame = axes.get_window_extent()
    best: tuple[float, Any, Bbox] | None = None
    for cost, (dx, dy, side, height) in enumerate(_PLACES):
        label = axes.annotate(
            text, at, xytext=(dx, dy), textcoords="offset points", ha=side, va=height, fontsize=8.5, color=INK,
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
    if best is not None:
        taken.append(best[2])


def _area(box: Bbox) -> float:
    return float(box.width * box.height)


def _overlap(one: Bbox, other: Bbox) -> float:
    common = Bbox.intersection(one, other)
    return _area(common) if common is not None else 0.0
