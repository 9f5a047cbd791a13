"""In how many problems each arm's accuracy exceeds a level."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from reports.figures.style import looks, write_instead
from reports.statistics.performance_profile import performance_profile
from reports.statistics.verdicts import by_benchmark, main_benchmark, paired_shares

# Bands of more arms hide each other.
_MOST_BANDS = 4


def performance_profiles(*, arms: pd.DataFrame, verdicts: pd.DataFrame, axes: Axes) -> Axes:
    """The share of problems whose accuracy exceeds a level, a line an arm; bands are 95 % intervals of up to four arms.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        verdicts: From `verdict_counts`; its main benchmark is drawn.
        axes: Where to draw.
    """
    evaluated = arms[arms["accuracy"].notna()]
    main = verdicts[verdicts["benchmark"] == main_benchmark(verdicts=verdicts)]
    if evaluated.empty or main.empty:
        axes.set_axis_off()
        return write_instead(axes=axes, text="no arm was evaluated")
    look, (benchmark,) = looks(arms=arms), by_benchmark(verdicts=main)
    for _, arm in evaluated.iterrows():
        tables, _ = paired_shares(benchmarks=[benchmark], arms=[arm["arm"]])
        profile = performance_profile(values=tables[0].values[0], samples=int(tables[0].samples.min()))
        drawn = look[arm["arm"]]
        # The last step reaches to 100 %, above which nothing lies.
        levels, shares, low, high = (
            np.append(profile[name], last)
            for name, last in (("level", 1.0), *((name, profile[name].iloc[-1]) for name in ("share", "low", "high")))
        )
        axes.plot(
            levels,
            shares,
            **drawn.curve,
            drawstyle="steps-post",
            markeredgecolor="black",
            markeredgewidth=0.5,
            markersize=4,
            markevery=slice(len(profile)),
            linewidth=1.1,
            label=f"{arm['number']}  {arm['label']}",
        )
        if len(evaluated) <= _MOST_BANDS:
            axes.fill_between(levels, low, high, step="post", color=drawn.colour, alpha=0.15, linewidth=0)
    axes.set_ylim(-0.02, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1.0, symbol=" %"))
    axes.set_xlabel("accuracy of a problem above")
    axes.set_ylabel("problems")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return axes
