r"""Supervised teaching: next-token prediction on worked solutions, some of which forget a carry.

Plain PyTorch, because it takes a minute or two and must give the same weights for the same seed on the same machine.

What is left to learn is decided by the lessons, not by when teaching ends: accuracy climbs from 10 to 80 % within some
100 steps of faultless lessons, and wherever one stops there, another seed leaves another head-room. A model that has
learned its tables and forgets every third carry has the same for all, and its most probable answer is mostly right.

A lesson is one worked solution, so the chance that a sample at temperature 1 reproduces it is known without sampling,

.. math:: p = \exp \sum_t \log \pi(y_t | x, y_{<t}),

and each batch, being new to the model, gives an unbiased estimate of its mean before the update.

A series begins with single problems and doubles as soon as the model can do what there is, in batches of equally
many problems: from the start at full length, nothing is learned for long. Only full length is measured, by the
geometric mean of the chances of its problems.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from sweep.tasks.arithmetic.problems import Problem, training_problems
from sweep.tasks.arithmetic.recipe import Progress, Recipe
from sweep.tasks.arithmetic.series import Series, in_series
from sweep.tasks.arithmetic.threads import single_thread
from sweep.tasks.arithmetic.tokenizer import encode_prompt

_IGNORED = -100
# A series grows when the worked solution of a problem costs fewer nats than this, on average of so many batches.
_NATS_TO_GROW, _BATCHES_TO_GROW = 8.0, 5


@dataclass(frozen=True)
class Lesson:
    """What happened at each step that measured: all of them, or with a series those of full length."""

    steps: int
    losses: list[float]
    """Mean negative log-likelihood of a response token, in nats."""
    reproduced: list[float]
    """Mean chance of a lesson's whole worked solution at temperature 1, of lessons not seen before."""


def teach(
    *,
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    seed: int,
    progress: Progress | None = None,
) -> Lesson:
    """Train ``model`` in place for ``max_steps``, or until it reproduces ``target`` of its lessons."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay
    )
    stream = training_problems(purpose="supervised", seed=seed)
    generator = random.Random(f"slips {seed}")
    length = 1
    nats: list[float] = []
    losses: list[float] = []
    reproduced: list[float] = []
    model.to(recipe.device).train()
    with single_thread():
        for step in range(recipe.max_steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(step=step)
            problems = _draw(stream, recipe=recipe, length=length)
            lessons = [(one.question, one.worked_out(slips=recipe.slips, generator=generator)) for one in problems]
            inputs, targets = (tensor.to(recipe.device) for tensor in _batch(lessons, tokenizer))
            surprise = _surprise(model, inputs, targets)
            loss = surprise.sum() / (targets != _IGNORED).sum()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_gradient_norm)
            optimizer.step()
            if length == recipe.series:
                losses.append(loss.item())
                reproduced.append((-surprise.detach().sum(dim=1) / length).exp().mean().item())
            else:
                nats.append(surprise.detach().sum().item() / (len(problems) * length))
                if len(nats) >= _BATCHES_TO_GROW and fmean(nats[-_BATCHES_TO_GROW:]) < _NATS_TO_GROW:
                    length, nats = min(recipe.series, 2 * length), []
            recent = reproduced[-recipe.window :]
            share = fmean(recent or [0.0])
            if progress is not None:
                progress(step + 1, recipe.max_steps, share)
            if recipe.target is not None and len(recent) == recipe.window and share >= recipe.target:
                break
    model.to("cpu").eval()
    return Lesson(steps=step + 1, losses=losses, reproduced=reproduced)


def _draw(stream: Iterator[Problem], *, recipe: Recipe, length: int) -> list[Problem | Series]:
    """The next batch: series of a length, or where the model is to do single problems, these."""
    if recipe.series == 1:
        return list(itertools.islice(stream, recipe.batch_size))
    rows = max(1, recipe.batch_size * recipe.series // length)
    return list(itertools.islice(in_series(stream, length=length), rows))


def _batch(lessons: list[tuple[str, str]], tokenizer: PreTrainedTokenizerFast) -> tuple[Tensor, Tensor]:
    """Inputs and targets of questions and answers, both (B, T): right-padded, targets shifted by one and ignored
    outside the answer.
    """
    rows = []
    for question, answer in lessons:
        prompt = encode_prompt(tokenizer, question)
        response = [*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id]
        rows.append((prompt, response))
    width = max(len(prompt) + len(response) for prompt, response in rows)
    tokens = torch.full((len(rows), width), tokenizer.pad_token_id)
    targets = torch.full((len(rows), width), _IGNORED)
    for row, (prompt, response) in enumerate(rows):
        end = len(prompt) + len(response)
        tokens[row, :end] = torch.tensor(prompt + response)
        targets[row, len(prompt) : end] = tokens[row, len(prompt) : end]
    return tokens[:, :-1], targets[:, 1:]


def _surprise(model: Qwen3ForCausalLM, inputs: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each response token, (B, T), zero elsewhere.

    The right padding needs no mask because attention is causal.
    """
    hidden = model.model(input_ids=inputs, use_cache=False).last_hidden_state
    scored = targets != _IGNORED
    tokens = cross_entropy(model.lm_head(hidden[scored]), targets[scored], reduction="none")
    return torch.zeros(targets.shape, device=tokens.device).masked_scatter(scored, tokens)
