"""How answers are compared, from a study's key to verl's reward function."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from typer.testing import CliRunner
from verl.trainer.ppo.reward import get_custom_reward_fn

from iskpo.verl.composition import compose
from sweep.commands.cli import app
from sweep.engine.settings import session_overrides
from sweep.profiles.profile import load_profile
from sweep.study.study import Study
from sweep.tasks import PreparedTask
from sweep.tasks.maths import reward

_SPACE = {"kind": "arms", "arms": [{"name": "a", "q": 1e-6, "v": 1.0, "kappa": 3.0}]}


def _reward(matching: str, folder: Path):
    study = Study.model_validate({"name": "s", "space": _SPACE, "steps": 1, "eval": {"matching": matching}})
    task = PreparedTask(
        model_dir=folder,
        train_parquet=folder / "train.parquet",
        eval_parquets={"math-500": folder / "test.parquet"},
        reward_file=Path(reward.__file__),
        summary_file=folder / "summary.json",
    )
    config = compose(session_overrides(study=study, profile=load_profile("tiny-maths"), task=task))
    OmegaConf.resolve(config)
    function = get_custom_reward_fn(config)
    assert function is not None
    return function


@pytest.mark.parametrize(("matching", "score"), [("equivalent", 1.0), ("exact", 0.0)])
def test_a_study_says_when_an_answer_is_right(matching: str, score: float, tmp_path: Path) -> None:
    grade = _reward(matching, tmp_path)
    assert grade("math-500", r"\boxed{0.50}", "0.5")["score"] == score
    assert grade("math-500", r"\boxed{0.5}", "0.5")["score"] == 1.0


def _study(folder: Path, *, profile: str, matching: str = "exact") -> Path:
    path = folder / "study.yaml"
    path.write_text(
        f"name: s\nprofile: {profile}\nsteps: 1\neval: {{samples: 2, matching: {matching}}}\n"
        "space: {kind: arms, arms: [{name: a, q: 1.0e-6, v: 1, kappa: 3}]}\n"
    )
    return path


def test_the_plan_says_so(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["plan", str(_study(tmp_path, profile="qwen3-4b"))])
    assert "right if the text is the same" in " ".join(shown.stdout.split())


def test_of_the_mathematics_task_alone(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["plan", str(_study(tmp_path, profile="tiny"))])
    assert refused.exit_code == 2
    assert "eval.matching: exact is of the mathematics task" in refused.stderr


def test_a_wrong_word_gets_the_right_ones(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["plan", str(_study(tmp_path, profile="tiny", matching="exakt"))])
    assert refused.exit_code == 2
    assert "study.yaml:4: eval.matching" in refused.stderr
    assert "exact" in refused.stderr
