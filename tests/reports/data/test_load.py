"""From a real store."""

import math
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

import sweep
from reports.data.load import TRIAL_COLUMNS, disputed, load_record
from sweep.input.errors import UserError
from sweep.store.study_folder import tracking_uri
from sweep.store.study_tracking import StudyTracking
from tests.reports.conftest import ARMS


def test_every_planned_trial_is_there_in_planned_order(one_seed: Path) -> None:
    study = load_record(output=one_seed)
    assert (study.name, study.state, study.params["profile"]) == ("made_up", "running", "tiny")
    trials = study.trials
    assert tuple(trials.columns) == TRIAL_COLUMNS
    assert trials["arm"].tolist() == ["kpo-strong", "low-gain-clipping", "kpo-weak", "broken", "later"]
    assert trials["state"].tolist() == [*["finished"] * 3, "failed", "not started"]
    assert trials["reason"].tolist()[3] == "the loss said q <&> #strong[1] $x$"
    assert trials["kappa"].tolist() == [math.inf, 1, math.inf, 3, 2]
    later = trials.iloc[4]
    assert later["predicted_gain"] == pytest.approx(0.0311, abs=1e-4)
    assert later["predicted_threshold"] == pytest.approx(2 / math.sqrt(1 - later["predicted_gain"]))
    assert math.isnan(later["minutes"])


def test_steps_and_samples_are_complete(one_seed: Path) -> None:
    study = load_record(output=one_seed)
    assert study.steps.groupby("trial").size().to_dict() == {
        "kpo-strong_s0": 3,
        "low-gain-clipping_s0": 3,
        "kpo-weak_s0": 3,
        "broken_s0": 1,
    }
    assert study.steps["kalman/tokens"].tolist() == [3300.0] * 10
    assert study.steps.loc[study.steps["arm"] == "kpo-strong", "kalman/threshold"].isna().all()
    assert set(study.samples["arm"]) == {"kpo-strong", "low-gain-clipping", "kpo-weak"}
    assert len(study.samples) == 3 * 40 * 4
    assert study.samples["correct"].dtype == bool


def test_runs_from_before_there_was_a_choice_of_estimators_clipped(record: Callable[..., Path]) -> None:
    output = record(space={**ARMS, "arms": ARMS["arms"][:2]}, problems=3, steps=1)
    with closing(sqlite3.connect(output / "mlflow.db")) as store, store:
        store.execute("DELETE FROM params WHERE key = 'estimator'")
    assert load_record(output=output).trials["estimator"].tolist() == ["clip", "clip"]


def test_the_latest_attempt_counts(record: Callable[..., Path]) -> None:
    output = record(space={**ARMS, "arms": ARMS["arms"][:2]}, failed={"kpo-strong_s0": "killed"}, problems=3, steps=1)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    first = load_record(output=output)
    assert first.trials["state"].tolist() == ["failed", "finished"]
    [failed] = [
        run
        for run in client.search_runs([client.get_experiment_by_name("made_up").experiment_id])
        if run.info.run_name == "kpo-strong_s0"
    ]
    again = client.create_run(failed.info.experiment_id, tags={**failed.data.tags, "iskpo.state": "running"})
    for name, value in failed.data.params.items():
        client.log_param(again.info.run_id, name, value)
    second = load_record(output=output)
    assert second.trials["state"].tolist() == ["running", "finished"]
    assert second.run_id == first.run_id


def test_a_folder_without_study_is_refused(tmp_path: Path, empty_store: Path) -> None:
    with pytest.raises(UserError, match=r"holds no study \(no mlflow\.db\)"):
        load_record(output=tmp_path)
    with pytest.raises(UserError, match="no run of a study"):
        load_record(output=empty_store.parent)
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    tracking = StudyTracking(output=tmp_path, study="s")
    tracking.start_study(name="s", question="", params={})
    with pytest.raises(UserError, match="study s has no trial yet"):
        load_record(output=tmp_path)


def test_a_run_that_was_deleted_in_mlflow_is_left_out(record: Callable[..., Path]) -> None:
    output = record(space={**ARMS, "arms": ARMS["arms"][:2]}, problems=3, steps=1)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    client.delete_run(sweep.load(output).runs["kpo-strong_s0"].run_id)
    study = load_record(output=output)
    assert study.trials["state"].tolist() == ["not started", "finished"]
    assert {*study.steps["trial"], *study.samples["trial"]} == {"low-gain-clipping_s0"}


def test_what_is_right_by_a_rule_and_not_by_its_text_is_disputed() -> None:
    table = pd.DataFrame({"correct": [True, True, False, True], "answer": ["0.5", "( 1, 2 )", "3", "1 1/2"]})
    truth = pd.Series([r"\frac{1}{2}", "(1,2)", "4", "3/2"])
    assert disputed(table, truth=truth) == [True, False, False, True]
