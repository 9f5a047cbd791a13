"""The map of what Q, V and kappa set: steady-state gain and clipping threshold."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.arms import paper_clipping_gain
from reports.figures.labels import label_points
from reports.figures.style import INK, SHELF, share_text

# Lower ends of the classes of clip fraction, their shade and their size.
_CLASSES = ((1e-2, "0.1", 95.0), (1e-4, "0.45", 65.0), (0.0, "0.75", 45.0))
_NEVER = ("white", 32.0)


def tension_map(*, arms: pd.DataFrame, axes: Axes) -> Axes:
    """Steady-state gain (log) against threshold (log): one point an arm, larger and darker the more it clipped.

    Arms without threshold stand on a shelf at the top. The band is the range, over arms, of the largest |innovation|:
    a threshold above it clips nothing. The hatched corner is where clipping is active at a gain below that of every
    clipping arm of the paper. Both axes are settings and exact, so points have no error bars.

    Args:
        arms: From `reports.arms.arm_table`.
        axes: Where to draw.
    """
    placed = arms[arms["gain"] > 0]
    if placed.empty:
        axes.text(0.5, 0.5, "no arm has a gain above 0", transform=axes.transAxes, ha="center")
        return axes
    finite = placed.loc[np.isfinite(placed["threshold"]), "threshold"]
    seen = placed["max_innovation"].dropna()
    values = [*finite, *seen, *([] if len(finite) or len(seen) else [1.0])]
    bottom = 10.0 ** math.floor(math.log10(min(values) / 1.5))
    top = 10.0 ** math.ceil(math.log10(max(values) * 1.2))
    shelf = top * 10**0.45
    height = placed["threshold"].where(np.isfinite(placed["threshold"]), shelf)
    left, right = placed["gain"].min() / 3, min(placed["gain"].max() * 4, 1.2)

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top * 10**0.9)
    axes.axhspan(top, top * 10**0.9, color=SHELF, zorder=0, linewidth=0)
    if len(seen):
        _draw_innovations(axes, low=float(seen.min()), high=float(seen.max()), bottom=bottom)
    for _, arm in placed.assign(height=height).iterrows():
        if math.isnan(arm["clip_fraction"]):
            axes.scatter(arm["gain"], arm["height"], s=_NEVER[1], color="black", marker="x", linewidth=1.2, zorder=3)
        else:
            shade, size = _class(arm["clip_fraction"])
            axes.scatter(arm["gain"], arm["height"], s=size, color=shade, edgecolor="black", linewidth=0.8, zorder=3)

    decades = [10.0**power for power in range(round(math.log10(bottom)), round(math.log10(top)) + 1)]
    axes.yaxis.set_major_locator(FixedLocator([*decades, shelf]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: "κ = ∞" if value > top else f"{value:g}"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda gain, _: share_text(gain)))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.set_xlabel("steady-state Kalman gain")
    axes.set_ylabel("steady-state threshold κσ, log-ratio units")
    _legend(axes, unmeasured=bool(placed["clip_fraction"].isna().any()))
    label_points(axes=axes, x=placed["gain"].tolist(), y=height.tolist(), arms=placed)
    return axes


def _draw_innovations(axes: Axes, *, low: float, high: float, bottom: float) -> None:
    left, _ = axes.get_xlim()
    corner = paper_clipping_gain()
    if left < corner:
        axes.add_patch(
            Rectangle(
                (left, bottom),
                corner - left,
                high - bottom,
                facecolor="none",
                edgecolor="0.82",
                hatch="///",
                linewidth=0,
                zorder=0.5,
            )
        )
    axes.axhspan(low, high, color="0.80", alpha=0.7, zorder=1, linewidth=0)
    axes.axhline(high, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)


def _class(fraction: float) -> tuple[str, float]:
    if not fraction > 0:
        return _NEVER
    return next((shade, size) for least, shade, size in _CLASSES if fraction >= least)


def _legend(axes: Axes, *, unmeasured: bool) -> None:
    def dot(shade: str, size: float, label: str) -> Line2D:
        return Line2D(
            [], [], linestyle="none", marker="o", markersize=math.sqrt(size), color=shade, markeredgecolor="black",
            markeredgewidth=0.8, label=label,
        )  # fmt: skip

    entries: list[Line2D | Rectangle] = [dot(*_NEVER, "nothing clipped")]
    upper = [f"< {share_text(least)}" for least, _, _ in _CLASSES[:-1]]
    for (least, shade, size), label in zip(_CLASSES, [f"≥ {share_text(_CLASSES[0][0])}", *upper], strict=True):
        text = label if least in (0.0, _CLASSES[0][0]) else f"{share_text(least)} to {share_text(1e-2)}"
        entries.insert(1, dot(shade, size, f"clipped {text}"))
    if unmeasured:
        entries.insert(
            0, Line2D([], [], linestyle="none", marker="x", color="black", markersize=6, label="not measured")
        )
    entries.append(Rectangle((0, 0), 1, 1, facecolor="0.80", label="largest |δ| of an arm,\nlowest to highest"))
    entries.append(
        Rectangle(
            (0, 0),
            1,
            1,
            facecolor="none",
            edgecolor="0.7",
            hatch="///",
            linewidth=0.5,
            label="low gain, can clip:\nno arm of the paper",
        )
    )
    axes.legend(
        handles=entries,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        labelspacing=0.9,
        borderaxespad=0.2,
    )
