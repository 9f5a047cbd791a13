"""The prepared view of MLflow's pages: kept with the experiment, of columns that the trials have."""

import json
import shutil

from mlflow.tracking import MlflowClient

from sweep.store.mlflow_view import prepare_view
from sweep.store.study_folder import tracking_uri
from sweep.store.study_store import follow_move


def test_the_view_shows_trials_by_arm_with_what_they_have(recorded):
    pages = prepare_view(recorded)
    client = MlflowClient(tracking_uri=tracking_uri(recorded))
    experiment = client.get_experiment_by_name("small")
    for page in vars(pages).values():
        assert page.startswith(f"#/experiments/{experiment.experiment_id}/runs")
    assert pages.charts.endswith("&compareRunsMode=CHART")
    key = pages.trials.partition("viewStateShareKey=")[2].partition("&")[0]
    state = json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"])
    assert state["selectedColumns"] == [
        *(f"params.`{name}`" for name in ("arm", "seed", "q", "v", "kappa", "loss")),
        *(f"metrics.`{name}`" for name in ("reward/mean", "eval/sums/avg_at_2", "kalman/gain_mean")),
    ]
    # The charts open with what a reader looks for; the pages add the other metrics below.
    (section,) = state["compareRunSections"]
    charts = state["compareRunCharts"]
    assert [(chart["metricKey"], chart["type"]) for chart in charts] == [
        ("reward/mean", "LINE"),
        ("eval/sums/avg_at_2", "BAR"),
        ("kalman/gain_mean", "LINE"),
    ]
    assert {chart["metricSectionId"] for chart in charts} == {section["uuid"]}
    # One seed: nothing to average. The pages nest trials under their study when runs are sorted by time.
    assert state["groupBy"] is None
    assert "start_time" not in state["orderByKey"]
    found = client.search_runs([experiment.experiment_id], filter_string=state["searchFilter"])
    assert sorted(run.data.params["arm"] for run in found) == ["clips", "gspo", "open"]
    study = client.get_run(pages.study.partition("runs/")[2].partition("?")[0])
    assert study.data.tags["iskpo.kind"] == "study"


def test_a_store_without_a_study_has_no_view(empty_store, tmp_path):
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    assert prepare_view(tmp_path) is None


def test_the_studys_description_has_the_reports_verdict_pdf_and_map(recorded, tmp_path):
    output = shutil.copytree(recorded, tmp_path / "out")
    follow_move(output)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    study = prepare_view(output).study.partition("runs/")[2].partition("?")[0]
    assert client.get_run(study).data.tags["mlflow.note.content"] == "Why?"
    (output / "report").mkdir()
    content = {
        "verdict": ["Nothing is established.", "One seed."],
        "summary": [["1", "KPO-strong", "50.0 [40.0, 60.0]", "0.1", "0.1", "1 | 2", "–"]],
        "limits": [["One training seed", "It says nothing of others."]],
        "main_figure": "map",
        "labels": {"open": "KPO-strong", "clips": "Q = 1", "gspo": "gspo"},
        "colours": {"open": "#000001", "clips": "#000002", "gspo": "#000003"},
        "metrics": {"accuracy/best_arm": 0.5, "trials/finished": 2.0},
    }
    (output / "report" / "report.json").write_text(json.dumps(content), encoding="utf-8")
    for name in ("report.pdf", "map.svg"):
        (output / name).write_bytes(b"%")
        client.log_artifact(study, str(output / name), "report")
    prepare_view(output)
    text = client.get_run(study).data.tags["mlflow.note.content"]
    lines = [line for line in text.splitlines() if line]
    assert lines[:3] == ["**Why?**", "- Nothing is established.", "- One seed."]
    address = f"(get-artifact?run_uuid={study}&path=report%2F"
    assert [line for line in lines if address in line] == [
        f"![Steady-state gain against threshold, a point an arm]{address}map.svg)",
        f"The report: [report.pdf]{address}report.pdf)",
    ]
    assert "| 1 | KPO-strong | 50.0 [40.0, 60.0] | 0.1 | 0.1 | 1 \\| 2 | – |" in lines
    assert "**One training seed.** It says nothing of others." in lines
    # Trials are called as in the report.
    found = client.search_runs([client.get_run(study).info.experiment_id], filter_string="tags.`iskpo.kind` = 'trial'")
    assert {run.data.tags["iskpo.label"] for run in found} == {"KPO-strong", "Q = 1", "gspo"}
    experiment = client.get_experiment_by_name("small")
    state = json.loads(experiment.tags["mlflow.sharedViewState.iskpo"])
    assert state["selectedColumns"][0] == "tags.`iskpo.label`"
    # In the plan's order, under the report's names.
    assert state["orderByKey"] == "tags.`iskpo.place`"
    places = {run.data.params["arm"]: run.data.tags["iskpo.place"] for run in found}
    assert places == {"open": "0001", "clips": "0002", "gspo": "0003"}
    # Groups have the report's names; runs keep the keys that commands know, and have the report's colours.
    assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "iskpo.label"}]
    assert all(run.info.run_name == run.data.tags["iskpo.trial"] for run in found)
    colours = {run.data.params["arm"]: run.data.tags["mlflow.runColor"] for run in found}
    assert colours == content["colours"]
    # The study's own run has the main numbers, once: what has not changed is not logged again.
    prepare_view(output)
    history = client.get_metric_history(study, "accuracy/best_arm")
    assert [(point.value, point.step) for point in history] == [(0.5, 0)]
    assert client.get_run(study).data.metrics == content["metrics"]
