"""Draw all figures and write each as SVG, for the document, and as PNG, for MLflow's pages."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.analysis.arms import MOST_LINES, MOST_ROWS, arm_label, shown_arms
from reports.analysis.tension import Bounds
from reports.figures.accuracy_intervals import accuracy_intervals
from reports.figures.exceedance import innovation_exceedance
from reports.figures.gain_clipping import gain_against_clipping
from reports.figures.style import WIDTH, looks, use_style
from reports.figures.tension_map import tension_map
from reports.figures.training_curves import CURVES, training_curve

# Arms that are all drawn in every figure; of more only some.
_MOST_IN_FULL = 24


def save_figures(
    *,
    arms: pd.DataFrame,
    steps: pd.DataFrame,
    histograms: pd.DataFrame,
    reference: str | None,
    folder: Path,
    grid: pd.DataFrame,
    bounds: Bounds,
    highlighted: str | None,
    untrained: float | None = None,
) -> list[str]:
    """Write gain_clipping, map, training, exceedance and accuracy into a folder.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        steps: Steps of finished trials, from `reports.data.load`.
        histograms: Those of finished trials, from `reports.data.load`.
        reference: The arm that others are compared with.
        folder: Where; exists.
        grid: From `reports.analysis.tension.replayed_grid`.
        bounds: Bounds of the map's region.
        highlighted: The arm that the map's verdict speaks of.
        untrained: Accuracy of the untrained model, a share; None where it was not judged.

    Returns:
        Names of the figures, without ending.
    """
    use_style()
    always = (highlighted,) if highlighted else ()
    evaluated = arms[arms["finished"] > 0] if (arms["finished"] > 0).any() else arms
    few, rows = (
        shown_arms(arms=evaluated, reference=reference, always=always, most=most) for most in (_MOST_IN_FULL, MOST_ROWS)
    )
    few = (
        few
        if len(few) == len(evaluated)
        else shown_arms(arms=evaluated, reference=reference, always=always, most=MOST_LINES)
    )
    figures = {
        "gain_clipping": _gain_clipping(arms, few),
        "map": _map(arms, grid, bounds, highlighted),
        "training": _training(arms[arms["arm"].isin(few)], steps),
        "exceedance": _exceedance(arms[arms["arm"].isin(few)], histograms),
        "accuracy": _accuracy(arms[arms["arm"].isin(rows)], reference, untrained),
    }
    for name, figure in figures.items():
        # No date in the file: the same data give the same bytes.
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png", dpi=200)
        plt.close(figure)
    return list(figures)


def _gain_clipping(arms: pd.DataFrame, labelled: list[str]) -> Figure:
    figure, axes = plt.subplots(figsize=(WIDTH, 3.5), layout="constrained")
    gain_against_clipping(arms=arms, axes=axes, labelled=labelled)
    return figure


def _map(arms: pd.DataFrame, grid: pd.DataFrame, bounds: Bounds, highlighted: str | None) -> Figure:
    figure, axes = plt.subplots(figsize=(WIDTH, 4.5), layout="constrained")
    tension_map(arms=arms, axes=axes, grid=grid, bounds=bounds, highlighted=highlighted)
    return figure


def _training(arms: pd.DataFrame, steps: pd.DataFrame) -> Figure:
    drawn = arms[arms["finished"] > 0]
    columns = 4
    rows = -(-len(drawn) // columns)
    figure, grid = plt.subplots(2, 2, figsize=(WIDTH, 4.35 + 0.19 * rows), layout="constrained")
    for axes, (metric, label, scale) in zip(grid.flat, CURVES, strict=True):
        training_curve(steps=steps, arms=arms, metric=metric, label=label, scale=scale, axes=axes)
    look = looks(arms=arms)
    handles = [
        Line2D(
            [], [], color=look[arm["arm"]].colour, linestyle=look[arm["arm"]].line, marker=look[arm["arm"]].marker,
            markerfacecolor=look[arm["arm"]].face, markersize=4.5, label=f"{arm['number']}  {arm_label(arm=arm)}",
        )
        for _, arm in drawn.iterrows()
    ]  # fmt: skip
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)), frameon=False)
    return figure


def _exceedance(arms: pd.DataFrame, histograms: pd.DataFrame) -> Figure:
    drawn = int(arms["arm"].isin(set(histograms["arm"].unique())).sum())
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2 if drawn else 1.2), layout="constrained")
    innovation_exceedance(arms=arms, histograms=histograms, axes=axes)
    return figure


def _accuracy(arms: pd.DataFrame, reference: str | None, untrained: float | None) -> Figure:
    evaluated = int(arms["accuracy"].notna().sum())
    figure, axes = plt.subplots(figsize=(WIDTH, 0.7 + 0.2 * max(evaluated, 2)), layout="constrained")
    accuracy_intervals(arms=arms, reference=reference, axes=axes, untrained=untrained)
    return figure
