"""The task's files, as verl and the evaluation read them."""

import pandas as pd
import pytest

from sweep.input.errors import UserError
from sweep.tasks import prepare_task
from sweep.tasks.words.prepare import TRAINING_PROMPTS, prepare
from sweep.tasks.words.problems import held_out_problems


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    return str(folder)


def test_problems_are_rows_of_verls(tmp_path, model):
    task = prepare(cache=tmp_path / "cache", model=model)
    train = pd.read_parquet(task.train_parquet)
    assert len(train) == TRAINING_PROMPTS
    assert set(train["data_source"]) == set(task.eval_parquets) == {"times-tables", "numerals"}
    for name, path in task.eval_parquets.items():
        table = pd.read_parquet(path)
        assert set(table["data_source"]) == {name}
        for row, problem in zip(table.to_dict("records"), held_out_problems()[name], strict=True):
            assert list(row["prompt"]) == problem.prompt
            assert row["reward_model"]["ground_truth"] == problem.answer
            assert row["extra_info"]["problem_id"] == problem.problem_id
    assert task.reward_file.name == "reward.py"
    assert task.accuracy_note == f"{model}; trains on 4,096 prompts, judged on times-tables (33), numerals (100)"


def test_the_same_is_made_once_and_another_seed_changes_the_training_alone(tmp_path, model):
    cache = tmp_path / "cache"
    first, again, other = (prepare(cache=cache, model=model, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first.train_parquet.read_bytes() != other.train_parquet.read_bytes()
    for name, path in first.eval_parquets.items():
        assert pd.read_parquet(path).equals(pd.read_parquet(other.eval_parquets[name]))
    assert len(list(cache.iterdir())) == 2


def test_a_model_that_was_not_fetched_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("ISKPO_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="smollm2 was not fetched yet; run: iskpo-sweep data fetch smollm2") as caught:
        prepare_task(name="words", model="smollm2", quiet=True)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="task 'words' needs the profile to name a model"):
        prepare_task(name="words", quiet=True)
