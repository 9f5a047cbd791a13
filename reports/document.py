"""Write a study's report: figures and data into OUTPUT/report, the PDF by Typst, all of it into MLflow."""

import json
import os
import shutil
from pathlib import Path

import typst
from mlflow.tracking import MlflowClient

from reports.analysis import MARGIN, analyse
from reports.arms import arm_table, reference_arm
from reports.content import document_content
from reports.export import export_tables
from reports.figures import save_figures
from reports.load import load_study
from reports.statistics.verdicts import verdict_counts
from reports.tension import bounds_of, replayed_grid
from reports.tension_text import deciding_arm
from sweep.tracking import tracking_uri

_TEMPLATE = Path(__file__).with_name("document.typ")


def write_report(*, output: Path, margin: float = MARGIN) -> Path:
    """Write OUTPUT/report/report.pdf from what MLflow recorded, and attach it to the study's run.

    Beside it stay what it was made from: the figures as SVG and PNG, the text as ``report.json``, and the layout,
    so that ``report.typ`` can be typeset again by hand; tables as CSV and all data as Parquet are in ``data/``.

    Args:
        output: The folder of a run; the study may still be running.
        margin: Largest difference of accuracy that does not matter, a share: for tests of equivalence and planning.

    Returns:
        Path of the PDF.

    Raises:
        UserError: The folder holds no study, or one without any trial.
    """
    study = load_study(output=output)
    verdicts = verdict_counts(samples=study.samples)
    arms = arm_table(study=study, verdicts=verdicts)
    reference = reference_arm(arms=arms)
    analysis = analyse(study=study, arms=arms, reference=reference, margin=margin, verdicts=verdicts)
    grid, bounds = replayed_grid(output=output, study=study, arms=arms), bounds_of(registered=study.registered)
    content = document_content(
        study=study, arms=arms, analysis=analysis, reference=reference, grid=grid, bounds=bounds, output=output
    )

    folder = output / "report"
    folder.mkdir(parents=True, exist_ok=True)
    finished = study.trials.loc[study.trials["state"] == "finished", "trial"]
    figures = save_figures(
        arms=arms,
        steps=study.steps[study.steps["trial"].isin(finished)],
        histograms=study.histograms,
        reference=reference,
        folder=folder,
        grid=grid,
        bounds=bounds,
        highlighted=deciding_arm(arms=arms, bounds=bounds),
    )
    export_tables(study=study, arms=arms, analysis=analysis, grid=grid, folder=folder / "data")
    (folder / "report.json").write_text(
        json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8"
    )
    shutil.copyfile(_TEMPLATE, folder / "report.typ")
    report = typeset(folder=folder)

    client = MlflowClient(tracking_uri=tracking_uri(output))
    for name in (report.name, *(f"{figure}.png" for figure in figures)):
        client.log_artifact(study.run_id, str(folder / name), "report")
    return report


def typeset(*, folder: Path) -> Path:
    """Compile report.typ to report.pdf, with the fonts that come with Typst alone: the same pages on every machine.

    Args:
        folder: Holds report.typ and what it reads.

    Returns:
        Path of the PDF.

    Raises:
        typst.TypstError: It does not compile; a PDF that was there is left as it was.
    """
    pdf = typst.compile(folder / "report.typ", root=folder, ignore_system_fonts=True, format="pdf")
    report, partial = folder / "report.pdf", folder / f".report.{os.getpid()}.pdf"
    # Written beside and renamed: nobody ever opens half a document.
    partial.write_bytes(pdf)
    os.replace(partial, report)
    return report
