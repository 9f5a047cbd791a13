"""Write a study's report: figures and data into OUTPUT/report, the document by Typst, all of it into MLflow."""

import json
import os
import shutil
from pathlib import Path
from typing import Literal

import typst
from mlflow.tracking import MlflowClient

from reports.analysis.arms import arm_table, distinct_arms, reference_arm
from reports.analysis.filter_model import filter_model_table
from reports.analysis.study_statistics import analyse
from reports.analysis.tension import bounds_of, replayed_grid
from reports.analysis.training_effect import untrained_accuracy
from reports.content import document_content
from reports.data.load import StudyRecord, load_record
from reports.export import export_tables
from reports.figures import save_figures
from reports.replication import replication_cells
from reports.sample_pages import write_sample_pages
from reports.statistics.compare import MARGIN
from reports.statistics.verdicts import verdict_counts
from sweep.store.mlflow_view import describe_study
from sweep.store.study_folder import tracking_uri

Format = Literal["pdf", "html"]
_HERE = Path(__file__).parent
# The layout, by the name that it has beside the report.
_LAYOUT = {"document.typ": "report.typ"} | {name: name for name in ("replication.typ", "appendix.typ", "sheet.typ")}


def write_report(*, output: Path, margin: float | None = None, format: Format = "pdf", full: bool = False) -> Path:
    """Write OUTPUT/report/report.pdf, or report.html, from what MLflow recorded, and attach it to the study's run.

    Beside it stay what it was made from: the figures as SVG and PNG, the text as ``report.json``, and the layout,
    so that ``report.typ`` can be typeset again by hand; tables as CSV and all data as Parquet are in ``data/``. All but
    the sources is attached, and the run's description in MLflow says the verdict and shows the tension map.

    Args:
        output: The folder of a run; the study may still be running.
        margin: Largest difference of accuracy that does not matter, a share: for tests of equivalence and planning. By
            default what the study registered, or one percentage point.
        format: ``pdf``, or ``html``: one page with the figures in it and sortable tables, from an arm to its raw
            samples one click, in pages beside it.
        full: Whether a PDF has the appendix, which HTML always has.

    Returns:
        Path of the document.

    Raises:
        UserError: The folder holds no study, or one without any trial.
    """
    study = load_record(output=output)
    verdicts = verdict_counts(samples=study.samples)
    arms = arm_table(study=study, verdicts=verdicts)
    reference = reference_arm(arms=arms)
    registered = study.registered.margin if study.registered else None
    analysis = analyse(
        study=study, arms=arms, reference=reference, margin=margin or registered or MARGIN, verdicts=verdicts
    )
    grid, bounds = replayed_grid(output=output, study=study, arms=arms), bounds_of(registered=study.registered)
    model = filter_model_table(output=output, study=study)
    cells = replication_cells(study=study, verdicts=verdicts)
    content = document_content(
        study=study,
        arms=arms,
        analysis=analysis,
        reference=reference,
        grid=grid,
        model=model,
        cells=cells,
        bounds=bounds,
        output=output,
    )

    folder = output / "report"
    folder.mkdir(parents=True, exist_ok=True)
    finished = study.trials.loc[study.trials["state"] == "finished", "trial"]
    figures = save_figures(
        arms=arms,
        steps=study.steps[study.steps["trial"].isin(finished)],
        histograms=study.histograms,
        verdicts=verdicts,
        reference=reference,
        folder=folder,
        grid=grid,
        bounds=bounds,
        named=content["named"],
        untrained=None if (found := untrained_accuracy(untrained=analysis.untrained)) is None else found["accuracy"],
    )
    export_tables(
        study=study, arms=arms, analysis=analysis, grid=grid, model=model, cells=cells, folder=folder / "data"
    )
    # From an arm's number in the first table to its page; a PDF has no use for them.
    content["sample_pages"] = {}
    if format == "html":
        distinct = distinct_arms(arms=arms)
        pages = write_sample_pages(output=output, arms=distinct, folder=folder, head=_html_head())
        numbers = zip(distinct["arm"], distinct["numbers"], strict=True)
        content["sample_pages"] = {number: pages[arm] for arm, number in numbers if arm in pages}
    (folder / "report.json").write_text(
        json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8"
    )
    for name, there in _LAYOUT.items():
        shutil.copyfile(_HERE / name, folder / there)
    report = typeset(folder=folder, format=format, full=full)
    _attach(output, study, report, figures)
    return report


def _attach(output: Path, study: StudyRecord, report: Path, figures: list[str]) -> None:
    """The document, its figures and its tables, and the description that MLflow shows of the study's run."""
    client = MlflowClient(tracking_uri=tracking_uri(output))
    for name in (report.name, *(f"{figure}.svg" for figure in figures)):
        client.log_artifact(study.run_id, str(report.parent / name), "report")
    client.log_artifacts(study.run_id, str(report.parent / "data"), "report/data")
    describe_study(output=output)


def _html_head() -> str:
    style, script = ((_HERE / f"document.{ending}").read_text(encoding="utf-8") for ending in ("css", "js"))
    return f"<style>{style}</style><script>{script}</script>"


def typeset(*, folder: Path, format: Format = "pdf", full: bool = False) -> Path:
    """Compile report.typ to report.pdf or report.html; fonts are those that come with Typst alone, for the same pages.

    Args:
        folder: Holds report.typ and what it reads.
        format: ``pdf`` or ``html``.
        full: Whether a PDF has the appendix.

    Returns:
        Its path.

    Raises:
        typst.TypstError: It does not compile; a document that was there is left as it was.
    """
    inputs = {"format": format, "full": "yes" if full else "no"}
    made = typst.compile(folder / "report.typ", root=folder, ignore_system_fonts=True, format=format, sys_inputs=inputs)
    if format == "html":
        # Typst exports structure and no layout: the page's look is ours, and what a click on a table's head does.
        made = made.replace(b"</head>", _html_head().encode() + b"</head>", 1)
    report, partial = folder / f"report.{format}", folder / f".report.{os.getpid()}.{format}"
    # Written beside and renamed: nobody ever opens half a document.
    partial.write_bytes(made)
    os.replace(partial, report)
    return report
