"""One look for all figures, and one for each arm: colour says the gain, marker the arm, line whether it clips.

Colours are cividis, made for colour-blind readers and even in greyscale; nothing is said by colour alone.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

matplotlib.use("Agg")

# The page's text is 17 cm wide. Figures are included at their own size, so letters are as large as said here.
WIDTH = 6.69
INK = "0.25"
SHELF = "0.93"
MARKERS = "osD^vP*X<>hp"
# Powers of ten of the steady-state gain that have the darkest and the lightest colour.
_ENDS = (-4.0, 0.0)

# Shares of clipped tokens between classes, and each class's colour from "nothing" up: one hue, darker for more, so that
# they are told apart in grey and by colour-blind readers too. Accuracies have another hue.
CLIP_LEVELS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 0.5)
CLIP_COLOURS = ["#ffffff", *(matplotlib.colormaps["PuBu"](np.linspace(0.1, 0.72, len(CLIP_LEVELS))))]
ACCURACY_COLOURS = "YlOrBr"

Line = Literal["-", "--", ":"]


@dataclass(frozen=True)
class Look:
    """How an arm is drawn.

    Attributes:
        colour: Darker for a lower steady-state gain; grey without a filter.
        marker: Differs between arms, for up to twelve.
        line: Solid without filter or threshold, dashed where nothing exceeded it, dotted where something was clipped.
        face: Fill of the marker: white without threshold.
    """

    colour: Any
    marker: str
    line: Line
    face: Any

    @property
    def point(self) -> dict[str, Any]:
        """matplotlib's arguments for the arm's points."""
        return {"color": self.colour, "marker": self.marker, "markerfacecolor": self.face}

    @property
    def curve(self) -> dict[str, Any]:
        """The same for its lines and their points."""
        return {**self.point, "linestyle": self.line}


def use_style() -> None:
    """Use the report's look for every figure drawn from now on."""
    sns.set_theme(
        style="whitegrid",
        context="paper",
        font="STIXGeneral",
        rc={
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "0.4",
            "axes.labelsize": 9.5,
            "axes.titlesize": 9.5,
            "font.size": 9,
            "grid.color": "0.88",
            "grid.linewidth": 0.5,
            "legend.fontsize": 8.5,
            "legend.title_fontsize": 8.5,
            "mathtext.fontset": "stix",
            "svg.fonttype": "path",
            "svg.hashsalt": "iskpo-sweep",
            "xtick.labelsize": 8.5,
            "ytick.labelsize": 8.5,
        },
    )


def looks(*, arms: pd.DataFrame) -> dict[str, Look]:
    """The look of every arm, by name: it follows from the arm's own row, so it is the same in every figure.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
    """
    palette = matplotlib.colormaps["cividis"]
    drawn = {}
    for _, arm in arms.iterrows():
        gain = float(arm["gain"])
        part = (math.log10(max(gain, 1e-12)) - _ENDS[0]) / (_ENDS[1] - _ENDS[0]) if gain == gain else math.nan
        colour = palette(min(max(part, 0.0), 1.0) * 0.82) if math.isfinite(part) else "0.55"
        limited = math.isfinite(arm["kappa"])
        line: Line = "-" if not limited else ":" if arm["clip_fraction"] > 0 else "--"
        face = colour if limited else "white"
        drawn[str(arm["arm"])] = Look(
            colour=colour, marker=MARKERS[(int(arm["number"]) - 1) % len(MARKERS)], line=line, face=face
        )
    return drawn


def write_instead(*, axes: Axes, text: str) -> Axes:
    """Say in the middle of the axes why nothing is drawn on them."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center")
    return axes


def share_text(share: float) -> str:
    """A share on an axis.

    >>> [share_text(share) for share in (0.0, 1e-6, 0.01, 1.0)]
    ['0', '0.0001 %', '1 %', '100 %']
    """
    if share == 0:
        return "0"
    per_cent = 100 * share
    return f"{per_cent:.{max(0, -math.floor(math.log10(per_cent) + 1e-9))}f} %"


def set_share_axis_with_zero(*, axes: Axes, shares: npt.ArrayLike) -> None:
    """Make the vertical axis logarithmic down to the smallest positive share, with a shelf for 0 below.

    An arm that never clips is a result, not a missing point.

    Args:
        axes: The axes; its vertical values are shares from 0 to 1.
        shares: All the values drawn, error bars included.
    """
    values = np.asarray(shares, dtype=np.float64)
    positive = values[np.isfinite(values) & (values > 0)]
    low = math.floor(math.log10(positive.min())) if positive.size else -3
    high = math.ceil(math.log10(positive.max()) + 1e-9) if positive.size else -2
    low = min(low, high - 1)
    edge = 10.0**low
    # Below `edge` the scale is linear and one decade long, which is the shelf.
    axes.set_yscale("symlog", linthresh=edge, linscale=0.9)
    axes.set_ylim(-0.55 * edge, 10.0**high * 1.3)
    axes.axhspan(-0.55 * edge, 0.55 * edge, color=SHELF, zorder=0, linewidth=0)
    step = max(1, math.ceil((high - low) / 6))
    axes.yaxis.set_major_locator(FixedLocator([0.0, *(10.0**power for power in range(low, high + 1, step))]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: share_text(share)))
