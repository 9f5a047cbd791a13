"""The report's tables as CSV, and everything it was computed from as Parquet."""

from pathlib import Path

import pandas as pd

from reports.analysis.study_statistics import Analysis
from reports.data.load import StudyRecord
from reports.statistics.accuracy import arm_accuracies


def export_tables(
    *,
    study: StudyRecord,
    arms: pd.DataFrame,
    analysis: Analysis,
    grid: pd.DataFrame,
    model: pd.DataFrame,
    cells: pd.DataFrame,
    folder: Path,
) -> None:
    """Write every table of the report as CSV, and tables and recorded data as Parquet.

    Shares run from 0 to 1, empty cells are missing numbers. Samples are counts by arm, seed, benchmark and problem
    (``verdicts``): single samples stay in MLflow's artifacts.

    Args:
        study: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        analysis: From `reports.analysis.study_statistics.analyse`.
        grid: From `reports.analysis.tension.replayed_grid`.
        model: From `reports.analysis.filter_model.filter_model_table`.
        cells: From `reports.replication.replication_cells`.
        folder: Where; made if it is not there. Files of the same names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "arms": arms,
        "trials": study.trials,
        "accuracies": arm_accuracies(verdicts=analysis.verdicts),
        "comparisons": analysis.comparisons,
        "training": analysis.training,
        "noise": analysis.noise,
        "odds": analysis.comparison.odds if analysis.comparison else pd.DataFrame(),
        "registered": analysis.registered,
        "recovery": analysis.recovery.rows,
        "replayed_map": grid,
        "settings": analysis.settings,
        "surfaces": analysis.surfaces,
        "tails": analysis.tails,
        "innovation_updates": analysis.updates,
        "innovation_mixtures": analysis.mixtures,
        "filter_model": model,
        "replication": cells,
        "next": analysis.next,
    }
    data = {
        "verdicts": analysis.verdicts,
        "untrained": analysis.untrained,
        "steps": study.steps,
        "histograms": study.histograms,
        "moments": study.moments,
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    for name, table in {**tables, **data}.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
