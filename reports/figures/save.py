"""Draw all figures and write each as SVG, for the document and MLflow's pages, and as PNG, to put elsewhere."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.analysis.arms import MOST_LINES, can_clip, distinct_arms, shown_arms
from reports.analysis.tension import Bounds
from reports.figures.accuracy_intervals import accuracy_intervals
from reports.figures.accuracy_map import accuracy_map, map_rows
from reports.figures.exceedance import innovation_exceedance
from reports.figures.performance_profiles import performance_profiles
from reports.figures.style import WIDTH, looks, use_style
from reports.figures.tension_map import tension_map
from reports.figures.training_curves import CURVES, training_curve

# Arms that are all drawn in every figure; of more only some.
_MOST_IN_FULL = 24
# Of more arms the intervals stand below the map of accuracies and not beside it.
_MOST_BESIDE = 14


def save_figures(
    *,
    arms: pd.DataFrame,
    steps: pd.DataFrame,
    histograms: pd.DataFrame,
    verdicts: pd.DataFrame,
    reference: str | None,
    folder: Path,
    grid: pd.DataFrame,
    bounds: Bounds,
    named: list[str],
    untrained: float | None = None,
) -> list[str]:
    """Write map, accuracy, training, exceedance and profiles into a folder: the map of all arms, others without twins.

    Args:
        arms: From `reports.analysis.arms.arm_table`.
        steps: Steps of finished trials, from `reports.data.load`.
        histograms: Those of finished trials, from `reports.data.load`.
        verdicts: The study's `verdict_counts`.
        reference: The arm that others are compared with.
        folder: Where; exists.
        grid: From `reports.analysis.tension.replayed_grid`.
        bounds: Bounds of the map's region.
        named: Arms in the first page's table: of many arms, those that are drawn or have their numbers.
        untrained: Accuracy of the untrained model, a share; None where it was not judged.

    Returns:
        Names of the figures, without ending.
    """
    use_style()
    distinct = distinct_arms(arms=arms)
    evaluated = distinct[distinct["finished"] > 0] if (distinct["finished"] > 0).any() else distinct
    fewer = shown_arms(arms=evaluated, reference=reference, always=tuple(named), most=MOST_LINES)
    few = [*evaluated["arm"]] if len(evaluated) <= _MOST_IN_FULL else fewer
    figures = {
        "map": _map(arms, grid, bounds, named),
        "accuracy": _accuracy(distinct[distinct["arm"].isin(few)], reference, untrained),
        "training": _training(distinct[distinct["arm"].isin(few)], steps),
        "exceedance": _exceedance(distinct[distinct["arm"].isin(few)], histograms),
        "profiles": _profiles(distinct[distinct["arm"].isin(fewer)], verdicts),
    }
    for name, figure in figures.items():
        # No date in the file: the same data give the same bytes.
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png", dpi=200)
        plt.close(figure)
    return list(figures)


def _map(arms: pd.DataFrame, grid: pd.DataFrame, bounds: Bounds, named: list[str]) -> Figure:
    figure, axes = plt.subplots(figsize=(WIDTH, 3.9), layout="constrained")
    tension_map(arms=arms, axes=axes, grid=grid, bounds=bounds, named=named)
    return figure


def _training(arms: pd.DataFrame, steps: pd.DataFrame) -> Figure:
    drawn = arms[arms["finished"] > 0]
    columns = 4 if drawn["label"].str.len().max() < 18 else 3
    rows = -(-len(drawn) // columns)
    clips = can_clip(arms=arms).any()
    wanted = [curve for curve in CURVES if clips or curve[0] != "kalman/clip_fraction"]
    # What was recorded comes first; a study that recorded less says so in the panels that are left.
    wanted.sort(key=lambda curve: curve[0] not in steps or bool(steps[curve[0]].isna().all()))
    figure, grid = plt.subplots(2, 2, figsize=(WIDTH, 3.7 + 0.19 * rows), layout="constrained")
    for axes, (metric, label, scale) in zip(grid.flat, wanted[:4], strict=True):
        training_curve(steps=steps, arms=arms, metric=metric, label=label, scale=scale, axes=axes)
    look = looks(arms=arms)
    handles = [
        Line2D(
            [], [], **look[arm["arm"]].curve, markersize=4.5, label=f"{arm['number']}  {arm['label']}",
        )
        for _, arm in drawn.iterrows()
    ]  # fmt: skip
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)), frameon=False)
    return figure


def _exceedance(arms: pd.DataFrame, histograms: pd.DataFrame) -> Figure:
    drawn = int(arms["arm"].isin(set(histograms["arm"].unique())).sum())
    figure, axes = plt.subplots(figsize=(WIDTH, 2.6 if drawn else 1.2), layout="constrained")
    innovation_exceedance(arms=arms, histograms=histograms, axes=axes)
    return figure


def _profiles(arms: pd.DataFrame, verdicts: pd.DataFrame) -> Figure:
    figure, axes = plt.subplots(figsize=(WIDTH, 2.6 if len(verdicts) else 1.2), layout="constrained")
    performance_profiles(arms=arms, verdicts=verdicts, axes=axes)
    return figure


def _accuracy(arms: pd.DataFrame, reference: str | None, untrained: float | None) -> Figure:
    """The map of accuracies beside their intervals; the intervals alone where no outside share was recorded."""
    evaluated = int(arms["accuracy"].notna().sum())
    height = 0.7 + 0.2 * max(evaluated, 2)
    if map_rows(arms=arms).empty:
        figure, axes = plt.subplots(figsize=(WIDTH, height), layout="constrained")
        accuracy_intervals(arms=arms, reference=reference, axes=axes, untrained=untrained)
        return figure
    if evaluated <= _MOST_BESIDE:
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(WIDTH, max(height, 2.7)), layout="constrained", width_ratios=(1.15, 1.0)
        )
    else:
        figure, (left, right) = plt.subplots(
            2, 1, figsize=(WIDTH, 2.7 + height), layout="constrained", height_ratios=(2.7, height)
        )
    accuracy_map(arms=arms, axes=left)
    accuracy_intervals(arms=arms, reference=reference, axes=right, untrained=untrained)
    return figure
