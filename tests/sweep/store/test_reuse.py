"""Trials that another study has trained come along with everything, and only where they are this study's."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import sweep
from sweep.input.errors import UserError
from sweep.profiles.profile import load_profile
from sweep.store import reuse, study_tracking
from sweep.store.mlflow_tables import latest_study, metric_points
from sweep.store.plan_file import keep_plan, params_of_trials, start_of_run
from sweep.store.reuse import Reusable, reusable_trials
from sweep.store.study_folder import PLAN_FILE, STUDY_FILE, artifact_folder
from sweep.store.study_tracking import StudyTracking
from sweep.store.trial_tables import UNTRAINED_SAMPLES, keep_samples
from sweep.study.plan import plan_trials
from sweep.study.study import Study, load_study

FIRST = """\
name: first
profile: tiny
space:
  kind: arms
  arms:
    - {name: strong, q: 1e-6, v: 1}
    - {name: weak, q: 1e-2, v: 1}
seeds: 2
steps: 2
eval: {samples: 2}
"""
SECOND = (
    FIRST.replace("name: first", "name: second").replace("    - {name: strong, q: 1e-6, v: 1}\n", "") + "slots: 2\n"
)
SECOND = SECOND.replace("name: weak,", "name: kpo-weak,").replace(
    "seeds:", "    - {name: opt-1, q: 1e-2, v: 0.1, kappa: 2}\nseeds:"
)
_HERE = {"iskpo.version.verl": "0.9.1", "iskpo.commit": "abc"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit of its own, since the tree in which tests run may have changes."""
    for module in (reuse, study_tracking):
        monkeypatch.setattr(module, "environment_tags", lambda: dict(_HERE))


def _begin(output: Path, text: str, store: Path) -> tuple[Study, StudyTracking]:
    output.mkdir()
    shutil.copyfile(store, output / "mlflow.db")
    (output / STUDY_FILE).write_text(text)
    study = load_study(output / STUDY_FILE)
    keep_plan(output=output, study=study, plan=plan_trials(study), profile=load_profile("tiny"))
    tracking = StudyTracking(output=output, study=study.name)
    tracking.start_study(name=study.name, question="", params={"steps": study.steps})
    tracking.log_study_files([output / STUDY_FILE, output / PLAN_FILE])
    return study, tracking


def _samples(output: Path, tracking: StudyTracking, *, key: str, step: int) -> None:
    dump = output / f"{step}.jsonl"
    row = {"input": "1", "output": key, "gts": "2", "score": 1.0, "step": step, "benchmark": "b", "problem_id": "p"}
    dump.write_text(2 * (json.dumps(row) + "\n"))
    table, metrics = keep_samples(dump, step=step, k=2)
    tracking.log_samples(key=key, step=step, path=table, metrics=metrics)


@pytest.fixture
def first(tmp_path: Path, empty_store: Path) -> Path:
    """A study that trained three of its four trials; the first of each seed judged the untrained model."""
    output = tmp_path / "first"
    study, tracking = _begin(output, FIRST, empty_store)
    for number, trial in enumerate(plan_trials(study)):
        tracking.start_trial(**start_of_run(trial, params=params_of_trials(study, load_profile("tiny"))))
        if trial.untrained:
            _samples(output, tracking, key=trial.key, step=0)
        for step in (1, 2):
            tracking.log_metrics(key=trial.key, step=step, metrics={"critic/score/mean": number + 0.1 * step})
        if trial.key == "weak_s1":
            tracking.end_trial(key=trial.key, state="failed", reason="killed")
            continue
        _samples(output, tracking, key=trial.key, step=2)
        tracking.end_trial(key=trial.key, state="finished")
    tracking.end_study(state="failed")
    return output


def _found(source: Path, study: Study) -> list[Reusable]:
    return reusable_trials(source=source, study=study, profile=load_profile("tiny"), plan=plan_trials(study))


def test_a_trial_comes_with_times_numbers_and_files_under_its_own_name(
    first: Path, tmp_path: Path, empty_store: Path
) -> None:
    study, tracking = _begin(tmp_path / "second", SECOND, empty_store)
    (found,) = _found(first, study)
    # Its seed 1 failed there, and the other arm is not of that study.
    assert found.trial.key == "kpo-weak_s0"
    # It is to judge the untrained model, which another trial of that seed did.
    assert found.trial.untrained
    tracking.take_over(found, **start_of_run(found.trial, params=params_of_trials(study, load_profile("tiny"))))

    output = tmp_path / "second"
    run, theirs = latest_study(output)[1]["kpo-weak_s0"], latest_study(first)[1]["weak_s0"]
    assert (run.state, run.status, run.start_time, run.end_time) == (
        "finished",
        "FINISHED",
        theirs.start_time,
        theirs.end_time,
    )
    assert run.taken_from == f"{first}, run {theirs.run_id}"
    assert run.run_id != theirs.run_id
    assert run.step == 2

    def points(folder: Path, run_id: str) -> list[tuple[object, ...]]:
        return sorted(
            point[1:] for point in metric_points(folder, ("*",), run_id=run_id) if point[1][:9] != "untrained"
        )

    assert points(output, run.run_id) == points(first, theirs.run_id) != []
    judged = latest_study(first)[1]["strong_s0"].run_id
    names = {name for _, name, _, _ in metric_points(output, ("untrained/*",), run_id=run.run_id)}
    assert names == {name for _, name, _, _ in metric_points(first, ("untrained/*",), run_id=judged)} != set()
    kept, original = (artifact_folder(*place) / "samples" for place in ((output, run.run_id), (first, theirs.run_id)))
    assert (kept / "step_0002.parquet").read_bytes() == (original / "step_0002.parquet").read_bytes()
    assert pd.read_parquet(kept / f"{UNTRAINED_SAMPLES}.parquet")["response"].eq("strong_s0").all()

    shutil.rmtree(first)
    table = sweep.load(output).samples
    assert set(table["trial"]) == {"kpo-weak_s0"}
    assert set(table["response"]) == {"weak_s0", "strong_s0"}
    assert sweep.load(output).trials.set_index("trial").loc["kpo-weak_s0", "arm"] == "kpo-weak"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("steps: 2", "steps: 3"), "steps is 2 there and 3 here"),
        (("eval: {samples: 2}", "eval: {samples: 3}"), "samples=2.* there and .*samples=3"),
        (("slots: 2", "overrides: {actor_rollout_ref.actor.grad_clip: 0.5}"), "overrides is {} there and .*0.5"),
        (("seeds: 2", "seeds: [7]"), "none of its finished trials has an arm and a seed of this study"),
        (("q: 1e-2, v: 1}", "q: 1e-2, v: 1, lr: 1e-4}"), "none of its finished trials"),
        (("profile: tiny", "profile: tiny\nray: {gpus_per_trial: 2}"), "ray.gpus_per_trial is None there and 2 here"),
    ],
)
def test_what_is_another_trial_is_refused_with_what_differs(
    first: Path, changed: tuple[str, str], message: str
) -> None:
    file = first / "other.yaml"
    file.write_text(SECOND.replace(*changed))
    with pytest.raises(UserError, match=message) as error:
        _found(first, load_study(file))
    assert "\n" not in str(error.value)
    assert f"--reuse {first}" in str(error.value)


@pytest.mark.parametrize(
    ("here", "message"),
    [
        ({"iskpo.commit": "def"}, "commit is abc there and def here"),
        ({"iskpo.version.torch": "2.11"}, "version.torch is None there and 2.11 here"),
        ({"iskpo.version.verl": "0.9.2"}, "version.verl is 0.9.1 there and 0.9.2 here"),
    ],
)
def test_other_code_is_refused(
    first: Path, monkeypatch: pytest.MonkeyPatch, here: dict[str, str], message: str
) -> None:
    (first / "second.yaml").write_text(SECOND)
    monkeypatch.setattr(reuse, "environment_tags", lambda: _HERE | here)
    with pytest.raises(UserError, match=message):
        _found(first, load_study(first / "second.yaml"))


def test_changes_that_are_not_committed_cannot_be_told_from_others(
    first: Path, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (reuse, study_tracking):
        monkeypatch.setattr(module, "environment_tags", lambda: {"iskpo.commit": "abc (with changes)"})
    study, _ = _begin(tmp_path / "changed", FIRST, empty_store)
    with pytest.raises(UserError, match="whether the same ones cannot be told"):
        _found(tmp_path / "changed", study)


def test_a_study_that_trains_nothing_planned_has_nothing_to_take_over(first: Path) -> None:
    study = Study.model_validate(
        {
            "name": "search",
            "space": {"kind": "optuna", "trials": 2, "parameters": {"q": {"low": 1e-6, "high": 1e-2}, "v": 1}},
            "steps": 2,
        }
    )
    with pytest.raises(UserError, match="planned and train"):
        reusable_trials(source=first, study=study, profile=load_profile("tiny"), plan=[])
