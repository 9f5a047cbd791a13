"""What a study is said to cost, against a count by hand and against trials that ran."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sweep.commands.cli import app
from sweep.commands.cost_estimate import checkpoints_gb, checkpoints_in_words, estimate_cost
from sweep.input.errors import UserError
from sweep.profiles.profile import Profile, available_profiles, load_profile
from sweep.store.mlflow_tables import RecordedRun
from sweep.study.study import Study

ROOT = Path(__file__).resolve().parents[3]


def _study(**changes: object) -> Study:
    arms = [{"name": "a", "q": 1e-6, "v": 1.0, "kappa": 3.0}]
    given = {"name": "s", "space": {"kind": "arms", "arms": arms}, "steps": 10, "eval": {"samples": 2, "every": None}}
    return Study.model_validate(given | changes)


def _profile(**verl: object) -> Profile:
    return Profile.model_validate(
        {
            "name": "p",
            "summary": "",
            "task": "maths",
            "model": "m",
            "device": "cuda",
            "cost": {
                "gpu": "g",
                "parameters": 1e9,
                "teraflops": 100,
                "gigabytes_a_second": 1000,
                "response_tokens": (800, 800),
                "evaluation_problems": 50,
            },
            "verl": {
                "data.train_batch_size": 4,
                "actor_rollout_ref.rollout.n": 5,
                "actor_rollout_ref.rollout.max_num_seqs": 20,
                **verl,
            },
        }
    )


def test_a_count_by_hand() -> None:
    estimate = estimate_cost(study=_study(), profile=_profile())
    assert estimate is not None
    # 10 steps x 20 sequences x 1,000 tokens are learned from, 50 x 2 x 1,000 judged; 2e9 operations a token and pass.
    learned, judged = 10 * 20 * 1000, 50 * 2 * 1000
    operations = 2e9 * (4 * learned + judged) + 2e9 * 10 * 20 * 800
    # Each of 800 tokens reads 2 GB for 20 sequences at once, 10 times in training and 5 in the evaluation.
    read = 2e9 * 800 * (10 + 5)
    for hours, arithmetic, bandwidth in ((estimate.low, 0.40, 0.50), (estimate.high, 0.15, 0.20)):
        seconds = operations / (100e12 * arithmetic) + read / (1000e9 * bandwidth)
        assert hours == pytest.approx(seconds / 3600 + 0.1)


@given(st.integers(1, 50), st.integers(1, 5))
def test_more_steps_and_more_seeds_cost_more(steps: int, seeds: int) -> None:
    small = estimate_cost(study=_study(steps=steps, seeds=seeds), profile=_profile())
    large = estimate_cost(study=_study(steps=steps + 1, seeds=seeds + 1), profile=_profile())
    assert small is not None
    assert large is not None
    assert small.low < small.high
    assert (small.low, small.high) < (large.low, large.high)


def test_the_last_step_is_evaluated_once() -> None:
    once = estimate_cost(study=_study(), profile=_profile())
    every_tenth = estimate_cost(study=_study(eval={"samples": 2, "every": 10}), profile=_profile())
    every_third = estimate_cost(study=_study(eval={"samples": 2, "every": 3}), profile=_profile())
    assert once is not None
    assert every_third is not None
    assert once == every_tenth
    assert every_third.low > once.low


def test_every_profile_of_a_large_model_has_a_cost_and_the_others_none() -> None:
    for name in available_profiles():
        profile = load_profile(name)
        # What a model of some million parameters takes does not follow from its sizes.
        assert (profile.cost is not None) == (profile.model or "").startswith("Qwen/")


def test_the_plan_says_it_without_a_gpu() -> None:
    study = ROOT / "studies" / "paper_table1.yaml"
    shown = CliRunner().invoke(app, ["plan", str(study)])
    assert "GPU-hours. Computed" in " ".join(shown.stdout.split())
    cost = json.loads(CliRunner().invoke(app, ["plan", str(study), "--json"]).stdout)["cost"]
    assert 0 < cost["low"] < cost["high"]
    tiny = CliRunner().invoke(app, ["plan", str(ROOT / "studies" / "smoke.yaml"), "--json"])
    assert json.loads(tiny.stdout)["cost"] is None


def test_the_disk_of_checkpoints_is_two_a_slot_and_those_of_the_study_go_first() -> None:
    big, tiny = load_profile("qwen3-4b"), load_profile("tiny")
    # Weights and two moments in float32: 12 bytes a parameter.
    assert big.checkpoint_gb == pytest.approx(12 * big.cost.parameters / 1e9, rel=0.01)  # type: ignore[union-attr]
    assert checkpoints_gb(_study(slots=3), big) == pytest.approx(2 * 3 * 48.3)
    assert checkpoints_in_words(_study(), big).startswith("A checkpoint every 5 steps takes up to 96.6 GB of disk")
    assert checkpoints_in_words(_study(checkpoint={"every": 0}), big) == ""
    assert checkpoints_in_words(_study(), tiny) == ""
    assert checkpoints_in_words(_study(checkpoint={"every": 1}), tiny).startswith("A checkpoint every step takes")


@pytest.mark.parametrize("name", available_profiles())
def test_every_profile_says_how_large_a_checkpoint_is(name: str) -> None:
    profile = load_profile(name)
    assert profile.checkpoint_gb > 0
    assert (profile.checkpoint.every > 0) == (profile.device == "cuda")


def test_times_of_another_study_count_where_there_are_some(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="was the study ever started"):
        estimate_cost(study=_study(), profile=_profile(), like=tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps({"profile": "tiny"}))
    with pytest.raises(UserError, match="ran on profile 'tiny', this one is to run on 'p'"):
        estimate_cost(study=_study(), profile=_profile(), like=tmp_path)


def _ran(*, seconds: float, step: int, state: str = "finished") -> RecordedRun:
    return RecordedRun(
        *("id", "t", "study", "1", "FINISHED"),
        start_time=100_000,
        end_time=100_000 + round(1000 * seconds),
        step=step,
        tags={"iskpo.trial": f"t{seconds}", "iskpo.state": state},
    )


def test_the_cost_by_times_is_trials_times_steps_times_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"profile": "p"}))
    # What failed tells nothing of what a trial takes.
    runs = [_ran(seconds=20, step=2), _ran(seconds=40, step=2), _ran(seconds=1, step=1, state="failed")]
    monkeypatch.setattr("sweep.store.mlflow_tables.recorded_runs", lambda _: runs)
    estimate = estimate_cost(study=_study(seeds=4, steps=5), profile=_profile(), like=tmp_path)
    assert estimate is not None
    # 4 trials of 5 steps, at 10 to 20 seconds a step.
    assert (estimate.low, estimate.high) == (pytest.approx(4 * 5 * 10 / 3600), pytest.approx(4 * 5 * 20 / 3600))
    assert estimate.unit == "hours"
    runs[:] = runs[2:]
    with pytest.raises(UserError, match="no trial of it has finished"):
        estimate_cost(study=_study(), profile=_profile(), like=tmp_path)
