"""A view of a study's runs in MLflow's pages that shows what a reader looks for, at addresses to open.

MLflow's own first view is one line, the study, with its trials folded away and no chart, since a study has no metrics
of its own. MLflow keeps a shared view as a tag of the experiment (`mlflow.sharedViewState.KEY`); its runs are laid flat
unless they are sorted by time. The form of the tag is the pages' own, of the pinned MLflow version.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from sweep.store.mlflow_tables import RecordedRun, latest_study
from sweep.store.study_folder import tracking_uri

_KEY = "iskpo"
_PARAMS = ("arm", "seed", "q", "v", "kappa", "loss")
_COLUMNS = ("", "Arm", "Accuracy, % [95 %]", "Gain, %", "Realised, %", "Outside, %", "Clipped, %")
_FIGURES = {
    "map": "Steady-state gain against threshold, a point an arm",
    "accuracy": "Accuracy over gain and outside share, a point an arm",
}
# What a reader looks for first, accuracies after the reward.
_REWARD = "reward/mean"
_METRICS = ("kalman/gain_mean", "kalman/clip_fraction", "kalman/outside_share")
# What the report calls an arm, its place in the plan and its colour: tags of each of its trials. They take 38 ms to
# write, so many trials go without. The pages read the colour of a run from its tag, and that of a group of runs from
# nowhere but the browser.
_LABEL, _PLACE, _COLOUR, _MOST_LABELLED = "iskpo.label", "iskpo.place", "mlflow.runColor", 500
# The section of the charts page that holds them, above the pages' own.
_SECTION = "Reward, accuracy, gain, clipping"


@dataclass(frozen=True)
class Pages:
    """Addresses below the server's own.

    Attributes:
        trials: A table of trials with their parameters and last metrics.
        charts: Every metric over training steps, by arm.
        study: The study's run: question, verdict, PDF and map.
    """

    trials: str
    charts: str
    study: str


def prepare_view(output: Path) -> Pages | None:
    """Keep the view with the study's experiment, and say where it is; None where no study has begun yet.

    Args:
        output: The study's folder; it has a study.
    """
    describe_study(output=output)
    study, trials = latest_study(output, metrics=("*",), params=True)
    if study is None:
        return None
    experiment, client = study.experiment_id, MlflowClient(tracking_uri=tracking_uri(output))
    client.set_experiment_tag(experiment, f"mlflow.sharedViewState.{_KEY}", json.dumps(_view_state([*trials.values()])))
    root = f"#/experiments/{experiment}/runs"
    shared = f"?viewStateShareKey={_KEY}&workflowType=machine_learning"
    return Pages(
        trials=f"{root}{shared}",
        charts=f"{root}{shared}&compareRunsMode=CHART",
        study=f"{root}/{study.run_id}?workflowType=machine_learning",
    )


def _view_state(trials: list[RecordedRun]) -> dict[str, object]:
    """What the pages read: trials alone, by arm, with the columns that people compare; seeds under their arm."""
    known = {name for run in trials for name in run.metrics}
    accuracies = sorted(name for name in known if "/avg_at_" in name and not name.startswith("untrained/"))
    wanted = [name for name in (_REWARD, *accuracies, *_METRICS) if name in known]
    params = [name for name in _PARAMS if any(name in run.params for run in trials)]
    labelled = all(_LABEL in run.tags for run in trials)
    by = {"mode": "tag", "groupByData": _LABEL} if labelled else {"mode": "param", "groupByData": "arm"}
    group = {"aggregateFunction": "average", "groupByKeys": [by]}
    return {
        "searchFilter": "tags.`iskpo.kind` = 'trial'",
        "orderByKey": f"tags.`{_PLACE}`" if labelled else "params.`arm`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            *([f"tags.`{_LABEL}`"] if labelled else []),
            *(f"params.`{name}`" for name in params),
            *(f"metrics.`{name}`" for name in wanted),
        ],
        "runsHiddenMode": "SHOW_ALL",
        # Groups have the report's names, in the legends too; names of runs are keys of trials.
        "groupBy": group if labelled or len({run.params.get("seed") for run in trials}) > 1 else None,
        # Otherwise the pages sort sections by name.
        "isAccordionReordered": True,
        "compareRunSections": [_section()],
        "compareRunCharts": [_chart(name, line=name not in accuracies) for name in wanted],
    }


def _section() -> dict[str, object]:
    """The first section of the charts page; the pages add theirs, with the metrics that it has not, below."""
    flags = {"display": True, "isReordered": True, "deleted": False, "isGenerated": False}
    return {"uuid": _KEY, "name": _SECTION, **flags}


def _chart(metric: str, *, line: bool) -> dict[str, object]:
    """A chart of one metric: over training steps, or a bar a trial for what is measured at the end."""
    chart: dict[str, object] = {
        "uuid": f"{_KEY}-{metric}",
        "type": "LINE" if line else "BAR",
        "metricKey": metric,
        "metricSectionId": _KEY,
        "runsCountToCompare": 20,
        "deleted": False,
        "isGenerated": False,
    }
    if line:
        chart |= {
            "selectedMetricKeys": [metric],
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
            "scaleType": "linear",
            "xAxisScaleType": "linear",
            "selectedXAxisMetricKey": "",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "ignoreOutliers": False,
            "range": {},
        }
    return chart


def describe_study(*, output: Path) -> None:
    """Put the report's verdict, picture, arms and limits under the study's question, and its numbers into that run.

    Trials get its names and colours.

    Does nothing without a report.

    Args:
        output: The study's folder; it has a study.
    """
    study, trials = latest_study(output, metrics=("*",), params=True)
    try:
        content = json.loads((output / "report" / "report.json").read_text(encoding="utf-8"))
        verdict, rows = [str(line) for line in content["verdict"]], content["summary"]
        limits, figure, labels = content["limits"], content["main_figure"], content["labels"]
        colours, numbers = content["colours"], content["metrics"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if study is None:
        return
    client = MlflowClient(tracking_uri=tracking_uri(output))
    places = {arm: place for place, arm in enumerate(labels, start=1)}
    for run in trials.values() if len(trials) <= _MOST_LABELLED else ():
        if (arm := run.params.get("arm", "")) not in labels:
            continue
        wanted = {_LABEL: labels[arm], _PLACE: f"{places[arm]:04d}", _COLOUR: colours[arm]}
        if any(run.tags.get(name) != value for name, value in wanted.items()):
            client.log_batch(run.run_id, tags=[RunTag(name, value) for name, value in wanted.items()])
    now = int(1000 * time.time())
    changed = {name: value for name, value in numbers.items() if study.metrics.get(name) != value}
    client.log_batch(study.run_id, metrics=[Metric(name, value, now, 0) for name, value in changed.items()])
    question = study.tags.get("iskpo.question", "")
    files = {entry.path for entry in client.list_artifacts(study.run_id, "report")}
    address = f"get-artifact?run_uuid={study.run_id}&path=report%2F"
    parts = [f"**{question}**", ""] if question else []
    parts += [f"- {line}" for line in verdict]
    # Drawn at the width of a page, where a bitmap as sharp would be wider than the window.
    if f"report/{figure}.svg" in files:
        parts += ["", f"![{_FIGURES[figure]}]({address}{figure}.svg)"]
    reports = [name for name in ("report.pdf", "report.html") if f"report/{name}" in files]
    if reports:
        parts += ["", "The report: " + ", ".join(f"[{name}]({address}{name})" for name in reports)]
    parts += ["", *_markdown_table(_COLUMNS, rows), ""]
    parts += [f"**{head}.** {body}\n" for head, body in limits]
    client.set_tag(study.run_id, MLFLOW_RUN_NOTE, "\n".join(parts).rstrip())


def _markdown_table(head: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]
