"""Make the task's files: a process of its own, so that a study does not carry torch and transformers along.

Started by `sweep.tasks.arithmetic.prepare`, which reads a JSON line after each step of teaching and answers with one:
without the answer, because whoever asked has died, this process ends.
"""

import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM
from transformers.utils import logging

from sweep.tasks.arithmetic import model, parquet, problems, sample, series, teach, tokenizer
from sweep.tasks.arithmetic.recipe import Progress, Recipe

TRAINING_PROMPTS = 2048
# Positions that a model knows: more than the longest prompt and response have, of one problem and of a series.
_POSITIONS, _POSITIONS_OF_SERIES = 512, 4096


def make(*, folder: Path, recipe: Recipe, seed: int, progress: Progress | None = None) -> None:
    """Teach a model and write it, the problems and a note of head-room into an empty folder."""
    began = time.monotonic()
    characters = tokenizer.build_tokenizer()
    policy = model.build_model(
        tokenizer=characters,
        seed=seed,
        positions=_POSITIONS if recipe.series == 1 else _POSITIONS_OF_SERIES,
        hidden_size=recipe.hidden_size,
        layers=recipe.layers,
    )
    lesson = teach.teach(model=policy, tokenizer=characters, recipe=recipe, seed=seed, progress=progress)
    with _no_progress_bar():
        policy.save_pretrained(folder / "model")
    characters.save_pretrained(folder / "model")

    asked: Iterator[problems.Problem | series.Series] = problems.training_problems(purpose="rl", seed=seed)
    held_out: Sequence[problems.Problem | series.Series] = problems.held_out_problems()
    data_source = problems.DATA_SOURCE
    if recipe.series > 1:
        asked = series.in_series(asked, length=recipe.series)
        held_out = series.held_out_series(length=recipe.series)
        data_source = series.DATA_SOURCE
    prompts = itertools.islice(asked, TRAINING_PROMPTS)
    parquet.write_problems(problems=prompts, path=folder / "train.parquet", split="train", data_source=data_source)
    parquet.write_problems(problems=held_out, path=folder / "held_out.parquet", split="test", data_source=data_source)

    summary = {
        "parameters": policy.num_parameters(),
        "steps": lesson.steps,
        # None and 0 where teaching ended before a series had grown to its length.
        "supervised_loss": fmean(lesson.losses[-recipe.window :]) if lesson.losses else None,
        "reproduced": fmean(lesson.reproduced[-recipe.window :] or [0.0]),
        **_head_room(policy, characters, _evenly_spread(held_out, recipe.head_room_samples), seed),
        "seconds": round(time.monotonic() - began, 1),
        "recipe": recipe.model_dump(),
        "seed": seed,
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _head_room(
    policy: Qwen3ForCausalLM,
    characters: PreTrainedTokenizerFast,
    asked: Sequence[problems.Problem | series.Series],
    seed: int,
) -> dict[str, Any]:
    """How often the taught model is right already, and how long its answers are; nothing where nothing is asked."""
    if not asked:
        return {"samples": 0}
    samples = sample.sample_responses(model=policy, tokenizer=characters, problems=asked, seed=seed)
    return {
        "accuracy": fmean(one.correct for one in samples),
        "parsed": fmean(one.parsed for one in samples),
        "samples": len(samples),
        "response_tokens_deciles": quantiles([one.tokens for one in samples], n=10),
    }


def _evenly_spread(
    held_out: Sequence[problems.Problem | series.Series], count: int
) -> list[problems.Problem | series.Series]:
    """``count`` of the held-out problems, evenly spread over their list because it is sorted by length."""
    return [held_out[index * len(held_out) // count] for index in range(count)]


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar for one file of three megabytes."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _report(step: int, max_steps: int, reproduced: float) -> None:
    print(json.dumps([step, max_steps, reproduced]), flush=True)
    if not sys.stdin.readline():
        sys.exit("whoever asked for the task is gone")


if __name__ == "__main__":
    # Ctrl-C reaches the whole group; the asker ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = json.loads(sys.stdin.readline())
    make(folder=Path(asked["folder"]), recipe=Recipe(**asked["recipe"]), seed=asked["seed"], progress=_report)
