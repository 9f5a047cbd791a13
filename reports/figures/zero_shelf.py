"""A logarithmic axis of shares that has a place for zero: an arm that never clips is a result, not a missing point."""

import math

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.figures.style import SHELF, share_text


def set_share_axis_with_zero(*, axes: Axes, shares: npt.ArrayLike) -> None:
    """Make the vertical axis logarithmic down to the smallest positive share, with a shelf for 0 below.

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
