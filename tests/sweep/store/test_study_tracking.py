"""A real SQLite store, read back with MLflow's own client."""

import json
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from sweep.store.mlflow_tables import recorded_runs
from sweep.store.study_folder import tracking_uri
from sweep.store.study_tracking import StudyTracking
from sweep.store.trial_tables import keep_samples


def test_a_study_is_recorded_as_people_browse_it(tmp_path: Path) -> None:
    tracking = StudyTracking(output=tmp_path, study="s")
    (tmp_path / "study.yaml").write_text("name: s\n")
    parent = tracking.start_study(name="s", question="why?", params={"steps": 2})
    tracking.log_study_files([tmp_path / "study.yaml"])
    for key in ("a_s0", "b_s0", "c_s0"):
        numerics = "public-cumsum-fp32" if key == "b_s0" else "exact"
        tracking.start_trial(key=key, arm=key[0], seed=0, params={"q": 1e-6, "kappa": float("inf")}, numerics=numerics)
    named = tracking.log_metrics(
        key="a_s0", step=1, metrics={"critic/score/mean": 0.5, "kalman/gain_mean": 0.1, "perf/other": 1.0}
    )
    assert named == {"reward/mean": 0.5, "kalman/gain_mean": 0.1}
    innovations = {"innovation_histogram/481": 3.0, "innovation_histogram/0": 2.0, "innovation/nis": 0.25}
    moments = {"tokens": 3.0, "clipped": 1.0, "mean": 0.1, "m2": 1 / 3}
    innovations |= {f"innovation_moments/1/2/{name}": value for name, value in moments.items()}
    assert tracking.log_metrics(key="a_s0", step=2, metrics=innovations) == {"innovation/nis": 0.25}
    dump = tmp_path / "2.jsonl"
    sample = {"input": "p", "output": "r", "gts": "1", "score": 1.0, "step": 2, "benchmark": "b", "problem_id": "x"}
    dump.write_text(json.dumps(sample) + "\n")
    table, shares = keep_samples(dump, step=2, k=1)
    assert tracking.log_samples(key="a_s0", step=2, path=table, metrics=shares)["eval/b/avg_at_1"] == 1.0
    tracking.end_trial(key="a_s0", state="finished")
    tracking.end_trial(key="b_s0", state="failed", reason="it broke")
    tracking.end_study(state="interrupted")

    client = MlflowClient(tracking_uri=tracking_uri(tmp_path))
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {
        "s": "KILLED",
        "a_s0": "FINISHED",
        "b_s0": "FAILED",
        "c_s0": "KILLED",
    }
    assert all(run.data.tags["mlflow.parentRunId"] == parent for name, run in runs.items() if name != "s")
    assert runs["b_s0"].data.tags["iskpo.reason"] == "it broke"
    assert runs["a_s0"].data.params["kappa"] == "inf"
    assert runs["a_s0"].data.metrics["eval/b/pass_at_1"] == 1.0
    folder = client.download_artifacts(runs["a_s0"].info.run_id, "samples")
    assert len(pd.read_parquet(Path(folder) / "step_0002.parquet")) == 1
    histogram = pd.read_parquet(
        client.download_artifacts(runs["a_s0"].info.run_id, "innovations/histogram.parquet")
    ).to_dict("records")
    assert histogram == [
        {"step": 2, "lower": 0.0, "upper": 2.0**-30, "tokens": 2},
        {"step": 2, "lower": 1.0, "upper": 1.0625, "tokens": 3},
    ]
    kept = pd.read_parquet(client.download_artifacts(runs["a_s0"].info.run_id, "innovations/moments.parquet"))
    place = {"step": 2, "update": 1, "pi_old_from": 0.9, "pi_old_to": 0.99}
    assert kept[[*place, *moments]].to_dict("records") == [place | moments]
    assert not any(name.startswith("innovation_") for name in runs["a_s0"].data.metrics)
    assert runs["a_s0"].data.tags["iskpo.numerics"] == "exact"
    assert runs["b_s0"].data.tags["iskpo.numerics"] == "public-cumsum-fp32"
    assert "float32" in runs["b_s0"].data.tags["mlflow.note.content"]
    assert "mlflow.note.content" not in runs["a_s0"].data.tags


def test_a_killed_study_is_taken_up_in_the_same_runs(tmp_path: Path) -> None:
    before = StudyTracking(output=tmp_path, study="s")
    parent = before.start_study(name="s", question="", params={})
    for key in ("done_s0", "failed_s0", "cut_s0"):
        before.start_trial(key=key, arm=key[:-3], seed=0, params={"q": 1e-6})
        before.log_metrics(key=key, step=1, metrics={"kalman/gain_mean": 0.1})
    before.log_metrics(key="cut_s0", step=2, metrics={"kalman/gain_mean": 0.2, "kalman/clip_fraction": 0.0})
    before.end_trial(key="done_s0", state="finished")
    before.end_trial(key="failed_s0", state="failed", reason="it broke")
    # Killed here: nothing is ended, the object is gone.

    after = StudyTracking(output=tmp_path, study="s")
    known = after.resume_study()
    assert {key: run.state for key, run in known.items()} == {
        "done_s0": "finished",
        "failed_s0": "failed",
        "cut_s0": "running",
    }
    for key in ("cut_s0", "failed_s0"):
        after.start_trial(key=key, arm=key[:-3], seed=0, params={"q": 1e-6})
        after.log_metrics(key=key, step=1, metrics={"kalman/gain_mean": 0.3})
        after.end_trial(key=key, state="finished")
    after.end_study(state="finished")

    client = MlflowClient(tracking_uri=tracking_uri(tmp_path))
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == dict.fromkeys(
        ("s", "done_s0", "failed_s0", "cut_s0"), "FINISHED"
    )
    assert runs["s"].info.run_id == parent
    for name, points in {"done_s0": [0.1], "failed_s0": [0.3], "cut_s0": [0.3]}.items():
        history = client.get_metric_history(runs[name].info.run_id, "kalman/gain_mean")
        assert [point.value for point in history] == points
    assert "kalman/clip_fraction" not in runs["cut_s0"].data.metrics
    assert runs["cut_s0"].data.tags["iskpo.attempts"] == "2"
    assert runs["done_s0"].data.tags["iskpo.attempts"] == "1"
    assert "iskpo.reason" not in runs["failed_s0"].data.tags


def test_a_trial_that_goes_on_from_a_checkpoint_keeps_its_run_its_times_and_its_duration(tmp_path: Path) -> None:
    tracking = StudyTracking(output=tmp_path, study="s")
    tracking.start_study(name="s", question="", params={})
    measured = [(1, 1_700_000_000.0), (2, 1_700_000_100.5)]
    for attempt in (1, 2):
        tracking.start_trial(key="a_s0", arm="a", seed=0, params={})
        if attempt == 2:
            tracking.resume_trial(key="a_s0", step=2, seconds=3600.0)
        for step, time_measured in measured:
            tracking.log_metrics(
                key="a_s0", step=step, metrics={"kalman/gain_mean": 0.1 * step}, time_measured=time_measured
            )
        # What came after the checkpoint comes a second time.
        tracking.log_metrics(key="a_s0", step=3, metrics={"kalman/gain_mean": 0.3})
    tracking.end_trial(key="a_s0", state="finished")
    (run,) = recorded_runs(tmp_path)
    assert (run.attempts, run.step, run.tags["iskpo.resumed_from_step"]) == (2, 3, "2")
    assert run.seconds == pytest.approx(3600.0, abs=60.0)
    history = MlflowClient(tracking_uri=tracking_uri(tmp_path)).get_metric_history(run.run_id, "kalman/gain_mean")
    assert [point.step for point in history] == [1, 2, 3]
    assert [point.timestamp / 1000 for point in history[:2]] == [seconds for _, seconds in measured]


def test_a_store_without_a_study_cannot_be_taken_up(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no run of a study"):
        StudyTracking(output=tmp_path, study="s").resume_study()


def test_a_trial_whose_run_was_deleted_in_mlflow_is_run_again_in_a_new_run(tmp_path: Path) -> None:
    before = StudyTracking(output=tmp_path, study="s")
    before.start_study(name="s", question="", params={})
    for key in ("kept_s0", "deleted_s0"):
        before.start_trial(key=key, arm=key[:-3], seed=0, params={})
        before.log_metrics(key=key, step=1, metrics={"kalman/gain_mean": 0.1})
        before.end_trial(key=key, state="finished")
    before.end_study(state="finished")
    client = MlflowClient(tracking_uri=tracking_uri(tmp_path))
    runs = {run.trial: run.run_id for run in recorded_runs(tmp_path)}
    client.delete_run(runs["deleted_s0"])

    after = StudyTracking(output=tmp_path, study="s")
    assert list(after.resume_study()) == ["kept_s0"]
    after.start_trial(key="deleted_s0", arm="deleted", seed=0, params={})
    after.log_metrics(key="deleted_s0", step=1, metrics={"kalman/gain_mean": 0.2})
    after.end_trial(key="deleted_s0", state="finished")
    again = {run.trial: run for run in recorded_runs(tmp_path, metrics=("kalman/gain_mean",))}
    assert again["kept_s0"].run_id == runs["kept_s0"]
    assert again["deleted_s0"].run_id != runs["deleted_s0"]
    assert (again["deleted_s0"].attempts, again["deleted_s0"].metrics) == (1, {"kalman/gain_mean": 0.2})
    assert client.get_run(runs["deleted_s0"]).data.metrics == {"kalman/gain_mean": 0.1}


@pytest.mark.parametrize("study", ["odd", "Default"])
def test_files_land_in_the_study_folder_whatever_it_and_the_study_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    output = tmp_path / 'it\'s #1, 100%b of "naïve" & 研究=;'
    output.mkdir()
    (output / "study.yaml").write_text("name: s\n", encoding="utf-8")
    for resumed in (False, True):
        tracking = StudyTracking(output=output, study=study)
        if resumed:
            assert tracking.resume_study().keys() == {"a_s0"}
        else:
            tracking.start_study(name=study, question="", params={})
        tracking.log_study_files([output / "study.yaml"])
        tracking.start_trial(key="a_s0", arm="a", seed=0, params={})
        tracking.end_study(state="interrupted")
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", output.name}
    assert not list((tmp_path / "elsewhere").iterdir())
    (run,) = recorded_runs(output)
    assert run.experiment == study
    assert len(list((output / "artifacts").glob("*/artifacts/study/study.yaml"))) == 1
