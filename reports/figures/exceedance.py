"""How many innovations exceed a threshold: the paper's Figure 2, with the axis on which clip fractions are read off."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from reports.analysis.innovation_tails import exceedance
from reports.figures.style import INK, looks, share_text, write_instead

# A legend of more lines is longer than the figure; the data of all arms are in the exported tables.
_MOST_ARMS = 12


def innovation_exceedance(*, arms: pd.DataFrame, histograms: pd.DataFrame, axes: Axes) -> Axes:
    """Share of tokens with |innovation| / sigma of at least x (both log), one line an arm, thresholds as verticals.

    Arms that are the same up to a threshold that nothing reached have the same line, which is drawn and named once.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        histograms: From `reports.data.load`.
        axes: Where to draw.
    """
    look = looks(arms=arms)
    curves: dict[bytes, tuple[pd.DataFrame, str, list[int]]] = {}
    for _, arm in arms[arms["arm"].isin(set(histograms["arm"].unique()))].iterrows():
        curve = exceedance(histograms=histograms[histograms["arm"] == arm["arm"]])
        if curve.empty:
            continue
        key = curve.to_numpy(np.float64).tobytes()
        curves.setdefault(key, (curve, str(arm["arm"]), []))[2].append(int(arm["number"]))
    if not curves:
        axes.set_axis_off()
        return write_instead(axes=axes, text="no histogram was recorded")
    for curve, name, numbers in [*curves.values()][:_MOST_ARMS]:
        drawn = look[name]
        every = max(1, len(curve) // 8)
        axes.plot(
            curve["x"],
            curve["share"],
            **drawn.curve,
            markeredgecolor="black",
            markeredgewidth=0.5,
            markersize=4.5,
            markevery=(len(numbers) % every, every),
            linewidth=1.2,
            label=_name(numbers),
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    shares = [curve["share"].min() for curve, _, _ in curves.values()]
    axes.set_ylim(10.0 ** math.floor(math.log10(min(shares)) - 1e-9), 1.6)
    thresholds = sorted(set(arms.loc[np.isfinite(arms["kappa"]), "kappa"]))[:6]
    # Nearly all tokens lie to the right: what is smaller is rounding of a policy that has not moved.
    axes.set_xlim(1e-4, 1.5 * max([*thresholds, *(float(curve["x"].max()) for curve, _, _ in curves.values())]))
    for place, kappa in enumerate(thresholds):
        axes.axvline(kappa, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        axes.annotate(
            f"κ = {kappa:g}", (kappa, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2 + 10 * (place % 3)),
            textcoords="offset points", ha="center", va="bottom", fontsize=8.5, color=INK,
        )  # fmt: skip
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: share_text(share)))
    axes.set_xlabel("x, in units of the filter's own σ")
    axes.set_ylabel("tokens with |δ|/σ ≥ x")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return axes


def _name(numbers: list[int]) -> str:
    shown = [str(number) for number in numbers[:5]] + ([f"{len(numbers) - 5} more"] if len(numbers) > 5 else [])
    return f"arm{'s' if len(numbers) > 1 else ''} {', '.join(shown)}"
