import hashlib
import itertools
import math
import random

import pytest
import torch

from sweep.tasks.arithmetic.model import build_model
from sweep.tasks.arithmetic.problems import held_out_problems, training_problems
from sweep.tasks.arithmetic.recipe import Recipe
from sweep.tasks.arithmetic.sample import sample_responses
from sweep.tasks.arithmetic.teach import teach
from sweep.tasks.arithmetic.tokenizer import build_tokenizer, encode_prompt


def _weights_hash(model) -> str:
    content = b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())
    return hashlib.sha256(content).hexdigest()


def _taught(recipe, seed):
    tokenizer = build_tokenizer()
    model = build_model(tokenizer=tokenizer, seed=seed)
    lesson = teach(model=model, tokenizer=tokenizer, recipe=recipe, seed=seed)
    return model, lesson


def test_same_seed_same_weights_whatever_came_before(brief):
    first, lesson = _taught(brief, 7)
    torch.manual_seed(99)
    torch.rand(1000)
    second, repeated = _taught(brief, 7)
    assert _weights_hash(first) == _weights_hash(second)
    assert lesson == repeated
    other, _ = _taught(brief, 8)
    assert _weights_hash(first) != _weights_hash(other)


def test_leaves_the_callers_random_state_and_threads_alone(brief):
    threads = torch.get_num_threads() + 1
    torch.set_num_threads(threads)
    state = torch.get_rng_state()
    model, _ = _taught(brief, 0)
    sample_responses(model=model, tokenizer=build_tokenizer(), problems=held_out_problems()[:2], seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(threads - 1)


def test_loss_and_reproduced_agree_with_plain_scoring_of_the_first_batch(brief):
    tokenizer = build_tokenizer()
    _, lesson = _taught(brief, 0)
    untaught = build_model(tokenizer=tokenizer, seed=0)
    problems = itertools.islice(training_problems(purpose="supervised", seed=0), brief.batch_size)
    generator = random.Random("slips 0")
    totals, tokens = [], 0
    for problem in problems:
        prompt = encode_prompt(tokenizer, problem.question)
        lesson_text = problem.worked_out(slips=brief.slips, generator=generator)
        response = [*tokenizer.encode(lesson_text, add_special_tokens=False), tokenizer.eos_token_id]
        with torch.no_grad():
            scores = untaught(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
        totals.append(sum(-scores[len(prompt) + i - 1, token].item() for i, token in enumerate(response)))
        tokens += len(response)
    assert lesson.losses[0] == pytest.approx(sum(totals) / tokens, rel=1e-5)
    assert lesson.reproduced[0] == pytest.approx(sum(math.exp(-total) for total in totals) / len(totals), rel=1e-3)


def test_stops_once_the_window_reaches_the_target_and_not_before():
    recipe = Recipe(max_steps=6, batch_size=2, window=4, target=0.0)
    _, lesson = _taught(recipe, 0)
    assert len(lesson.losses) == len(lesson.reproduced) == recipe.window


def test_reports_every_step(brief):
    tokenizer, reports = build_tokenizer(), []
    model = build_model(tokenizer=tokenizer, seed=0)
    teach(model=model, tokenizer=tokenizer, recipe=brief, seed=0, progress=lambda *report: reports.append(report))
    assert [report[:2] for report in reports] == [(1, 3), (2, 3), (3, 3)]
    assert all(0.0 <= reproduced <= 1.0 for _, _, reproduced in reports)


def test_learning_rate_rises_and_falls():
    recipe = Recipe(max_steps=100, warmup_steps=10, learning_rate=2.0)
    rates = [recipe.rate(step=step) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] > 1.8
    assert 0 < rates[-1] < 0.03


def test_slips_change_what_is_taught(brief):
    usual, _ = _taught(brief, 0)
    faultless, _ = _taught(brief.model_copy(update={"slips": 0.0}), 0)
    assert _weights_hash(usual) != _weights_hash(faultless)


def test_sampling_is_repeatable_scored_and_the_same_in_any_batching():
    tokenizer = build_tokenizer()
    model = build_model(tokenizer=tokenizer, seed=0).eval()
    problems = held_out_problems()[::250]

    def samples(**options):
        return sample_responses(model=model, tokenizer=tokenizer, problems=problems, seed=3, **options)

    assert samples() == samples()
    assert [sample.problem for sample in samples()] == list(problems)
    # All but greedy (temperature near 0): padding must not change what the model says.
    greedy = [sample.response for sample in samples(temperature=1e-6)]
    assert greedy == [sample.response for sample in samples(temperature=1e-6, batch_size=1)]
