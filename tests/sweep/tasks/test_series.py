"""Series of problems: what is asked, what is right, and that it is taught and written like single ones."""

import itertools

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.profiles.profile import available_profiles, load_profile
from sweep.tasks.arithmetic import teach
from sweep.tasks.arithmetic.model import build_model
from sweep.tasks.arithmetic.prepare import prepare
from sweep.tasks.arithmetic.problems import Problem, training_problems
from sweep.tasks.arithmetic.recipe import Recipe
from sweep.tasks.arithmetic.reward import compute_score
from sweep.tasks.arithmetic.series import DATA_SOURCE, HELD_OUT_SERIES, LONGEST, Series, held_out_series, in_series
from sweep.tasks.arithmetic.tokenizer import build_tokenizer, encode_prompt

any_problem = st.builds(Problem, number=st.integers(100, 9_999_999), factor=st.integers(2, 9))
any_series = st.builds(Series, st.lists(any_problem, min_size=2, max_size=LONGEST).map(tuple))
BRIEF = Recipe(series=3, max_steps=9, batch_size=2, warmup_steps=1, head_room_samples=0)
PROFILES = [name for name in available_profiles() if load_profile(name).recipe is not None]


def test_worked_example_of_the_documentation():
    series = Series((Problem(number=473, factor=6), Problem(number=812, factor=3)))
    assert series.question == "x473*6y812*3=?"
    assert series.solution == ("x473*6:3*6=18\n7*6+1=43\n4*6+4=28\n#### 2838\ny812*3:2*3=6\n1*3=3\n8*3=24\n#### 2436")
    assert series.answer == "2838 2436"
    assert series.problem_id.startswith("473x6+1-")


@given(series=any_series)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_half_of_the_answers_make_it_right_if_none_is_missing(series):
    lines = series.solution.split("\n")
    answers = [index for index, line in enumerate(lines) if line.startswith("####")]

    def score(response: str) -> float:
        return compute_score(DATA_SOURCE, response, series.answer)["score"]

    def with_wrong(count: int) -> str:
        return "\n".join("#### 1" if index in answers[:count] else line for index, line in enumerate(lines))

    assert score(series.solution) == score(series.solution + "\n") == 1.0
    assert score(with_wrong(len(answers) // 2)) == 1.0
    assert score(with_wrong(len(answers) // 2 + 1)) == 0.0
    assert score("\n".join(lines[:-1])) == 0.0
    assert score(series.solution + "\n#### 7") == 0.0
    assert score("") == score(" ".join(series.answer)) == 0.0


@given(series=any_series, others=st.lists(any_series, max_size=3))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_names_tell_series_apart_and_stay_short(series, others):
    different = {other.problems for other in [series, *others]}
    assert len({Series(problems).problem_id for problems in different}) == len(different)
    assert len(series.problem_id) < 32


def test_held_out_series_never_change():
    held_out = held_out_series(length=20)
    assert len({series.problem_id for series in held_out}) == HELD_OUT_SERIES
    assert {len(series.problems) for series in held_out} == {20}
    # Accuracies of earlier studies refer to these; a failure here means that they no longer compare.
    assert [series.problem_id for series in held_out[::50]] == [
        "4448486x7+19-54a9c33d",
        "523x4+19-9cc43408",
        "3470950x6+19-76b9d1c1",
    ]


def test_a_response_as_long_as_the_rollout_says():
    known = {"response_tokens": 1536, "truncated": True, "problem_id": "p"}
    result = compute_score(DATA_SOURCE, "#### 1\n#### 2", "1 2", known)
    assert (result["score"], result["tokens"], result["truncated"]) == (1.0, 1536, True)
    assert result["answer"] == "1 2"


@pytest.mark.parametrize("name", PROFILES)
def test_prompts_and_right_answers_fit_into_their_profile(name):
    profile, tokenizer = load_profile(name), build_tokenizer()
    length = profile.recipe.series
    training = itertools.islice(in_series(training_problems(purpose="rl", seed=0), length=length), 2048)
    for series in [*held_out_series(length=length), *training]:
        prompt = encode_prompt(tokenizer, series.question)
        response = tokenizer.encode(series.solution, add_special_tokens=False)
        assert len(prompt) <= profile.verl["data.max_prompt_length"]
        assert 1000 < len(response) + 1 < profile.verl["data.max_response_length"]
    room = profile.verl["data.max_prompt_length"] + profile.verl["data.max_response_length"]
    assert profile.verl["actor_rollout_ref.rollout.max_model_len"] == room
    assert profile.verl["data.val_batch_size"] == HELD_OUT_SERIES


def test_teaching_grows_series_once_they_are_solved_and_measures_whole_ones(monkeypatch):
    drawn, reports, tokenizer = [], [], build_tokenizer()
    draw = teach._draw

    def noted(*args, **options):
        drawn.append(draw(*args, **options))
        return drawn[-1]

    def lesson():
        drawn.clear()
        reports.clear()
        model = build_model(tokenizer=tokenizer, seed=0)
        return teach.teach(
            model=model, tokenizer=tokenizer, recipe=BRIEF, seed=0, progress=lambda *report: reports.append(report[0])
        )

    monkeypatch.setattr(teach, "_draw", noted)
    unsolved = lesson()
    assert (unsolved.steps, unsolved.losses, unsolved.reproduced) == (9, [], [])
    assert {len(one.problems) for batch in drawn for one in batch} == {1}
    monkeypatch.setattr(teach, "_NATS_TO_GROW", 1e9)
    monkeypatch.setattr(teach, "_BATCHES_TO_GROW", 2)
    solved = lesson()
    assert [len(batch[0].problems) for batch in drawn] == [1, 1, 2, 2, 3, 3, 3, 3, 3]
    assert [len(batch) for batch in drawn] == [6, 6, 3, 3, 2, 2, 2, 2, 2]
    assert reports == list(range(1, 10))
    assert (solved.steps, len(solved.losses), len(solved.reproduced)) == (9, 5, 5)


def test_short_series_teach_every_letter():
    series = itertools.islice(in_series(training_problems(purpose="rl", seed=0), length=2), 500)
    letters = {name[0] for one in series for name in one._named()}
    assert len(letters) == LONGEST


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_teaches_what_the_cpu_does():
    tokenizer = build_tokenizer()
    losses = []
    for device in ("cpu", "cuda"):
        model = build_model(tokenizer=tokenizer, seed=0)
        recipe = BRIEF.model_copy(update={"series": 1, "device": device})
        losses.append(teach.teach(model=model, tokenizer=tokenizer, recipe=recipe, seed=0).losses)
        assert {weight.device.type for weight in model.parameters()} == {"cpu"}
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_the_task_is_made_of_series(tmp_path):
    recipe = BRIEF.model_copy(update={"hidden_size": 64, "layers": 1})
    task = prepare(cache=tmp_path, recipe=recipe)
    assert list(task.eval_parquets) == [DATA_SOURCE]
    rows = pd.read_parquet(task.eval_parquets[DATA_SOURCE])
    assert set(rows["data_source"]) == {DATA_SOURCE}
    assert rows["prompt"][0][0]["content"] == held_out_series(length=3)[0].question
    asked = pd.read_parquet(task.train_parquet)
    assert asked["reward_model"][0]["ground_truth"].count(" ") == 2
    assert task.summary["recipe"]["series"] == 3
    assert task.accuracy_note.endswith("by its own probabilities it gives 0% of new lessons back before RL")
    config = (task.model_dir / "config.json").read_text()
    assert '"hidden_size": 64' in config
    assert '"max_position_embeddings": 4096' in config
