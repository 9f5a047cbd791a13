"""Sample answers in batches and score them: how much the taught model still has to learn."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from sweep.tasks.arithmetic.problems import MAX_RESPONSE_TOKENS, Problem
from sweep.tasks.arithmetic.reward import compute_score
from sweep.tasks.arithmetic.threads import single_thread
from sweep.tasks.arithmetic.tokenizer import encode_prompt


@dataclass(frozen=True)
class Sample:
    """One response to one problem; ``tokens`` counts the end token where there is one."""

    problem: Problem
    response: str
    tokens: int
    correct: bool
    parsed: bool


def sample_responses(
    *,
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[Problem],
    seed: int,
    temperature: float = 1.0,
    batch_size: int = 256,
) -> list[Sample]:
    """Answer each problem once, as verl's rollout would: full vocabulary, no top-k, no top-p."""
    samples = []
    with torch.random.fork_rng(devices=[]), torch.no_grad(), single_thread():
        torch.manual_seed(seed)
        for start in range(0, len(problems), batch_size):
            samples.extend(_sample_batch(model, tokenizer, problems[start : start + batch_size], temperature))
    return samples


def _sample_batch(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, problems: Sequence[Problem], temperature: float
) -> list[Sample]:
    prompts = [encode_prompt(tokenizer, problem.question) for problem in problems]
    padded = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
    generated = model.generate(
        input_ids=padded["input_ids"],
        attention_mask=padded["attention_mask"],
        max_new_tokens=MAX_RESPONSE_TOKENS,
        do_sample=True,
        temperature=temperature,
        top_k=0,
        top_p=1.0,
    )
    responses = generated[:, padded["input_ids"].shape[1] :].tolist()
    return [_score(tokenizer, problem, ids) for problem, ids in zip(problems, responses, strict=True)]


def _score(tokenizer: PreTrainedTokenizerFast, problem: Problem, ids: list[int]) -> Sample:
    if tokenizer.eos_token_id in ids:
        ids = ids[: ids.index(tokenizer.eos_token_id) + 1]
    response = tokenizer.decode(ids, skip_special_tokens=True)
    result = compute_score("arithmetic", response, problem.answer)
    return Sample(
        problem=problem,
        response=response,
        tokens=len(ids),
        correct=result["score"] == 1.0,
        parsed=result["parsed"],
    )
