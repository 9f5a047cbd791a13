"""A view of a study's runs in MLflow's pages that shows what a reader looks for, at addresses to open.

MLflow's own first view is one line, the study, with its trials folded away and no chart, since a study has no metrics
of its own. MLflow keeps a shared view as a tag of the experiment (`mlflow.sharedViewState.KEY`); its runs are laid flat
unless they are sorted by time. The form of the tag is the pages' own, of the pinned MLflow version.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from sweep.store.mlflow_tables import RecordedRun, latest_study
from sweep.store.study_folder import tracking_uri

_KEY = "iskpo"
_PARAMS = ("arm", "seed", "q", "v", "kappa", "loss")
_METRICS = ("reward/mean", "kalman/gain_mean", "kalman/clip_fraction", "innovation/max_abs")


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
    study, trials = latest_study(output, metrics=("*",), params=True)
    if study is None:
        return None
    experiment, client = study.experiment_id, MlflowClient(tracking_uri=tracking_uri(output))
    _describe(client, study, output)
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
    accuracies = sorted({name for run in trials for name in run.metrics if "/avg_at_" in name})
    known = {name for run in trials for name in run.metrics} or {*_METRICS}
    params = [name for name in _PARAMS if any(name in run.params for run in trials)]
    group = {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "arm"}]}
    return {
        "searchFilter": "tags.`iskpo.kind` = 'trial'",
        "orderByKey": "params.`arm`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            *(f"params.`{name}`" for name in params),
            *(f"metrics.`{name}`" for name in (*_METRICS, *accuracies) if name in known),
        ],
        "runsHiddenMode": "SHOW_ALL",
        "groupBy": group if len({run.params.get("seed") for run in trials}) > 1 else None,
    }


def _describe(client: MlflowClient, study: RecordedRun, output: Path) -> None:
    """Under the study's question: the report's verdict, its map and where its PDF is; nothing before there is one."""
    try:
        verdict = [
            str(line) for line in json.loads((output / "report" / "report.json").read_text(encoding="utf-8"))["verdict"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return
    question = study.tags.get("iskpo.question", "")
    files = {entry.path for entry in client.list_artifacts(study.run_id, "report")}
    address = f"get-artifact?run_uuid={study.run_id}&path=report%2F"
    parts = [f"**{question}**"] if question else []
    parts += [f"- {line}" for line in verdict]
    if "report/report.pdf" in files:
        parts.append(f"\n[The report]({address}report.pdf)")
    if "report/map.png" in files:
        parts.append(f"\n![Steady-state gain against threshold, a point an arm]({address}map.png)")
    client.set_tag(study.run_id, MLFLOW_RUN_NOTE, "\n".join(parts))
