"""Make the task's files: a process of its own, so that a study does not carry torch and transformers along.

Started by `sweep.tasks.arithmetic.prepare`, which reads a JSON line after each step of teaching and answers with one:
without the answer, because whoever asked has died, this process ends.
"""

import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, quantiles

from transformers.utils import logging

from sweep.tasks.arithmetic import model, parquet, problems, sample, teach, tokenizer
from sweep.tasks.arithmetic.recipe import Progress, Recipe

TRAINING_PROMPTS = 2048


def make(*, folder: Path, recipe: Recipe, seed: int, progress: Progress | None = None) -> None:
    """Teach a model and write it, the problems and a note of head-room into an empty folder."""
    began = time.monotonic()
    characters = tokenizer.build_tokenizer()
    policy = model.build_model(tokenizer=characters, seed=seed)
    lesson = teach.teach(model=policy, tokenizer=characters, recipe=recipe, seed=seed, progress=progress)
    with _no_progress_bar():
        policy.save_pretrained(folder / "model")
    characters.save_pretrained(folder / "model")

    prompts = itertools.islice(problems.training_problems(purpose="rl", seed=seed), TRAINING_PROMPTS)
    parquet.write_problems(problems=prompts, path=folder / "train.parquet", split="train")
    parquet.write_problems(problems=problems.held_out_problems(), path=folder / "held_out.parquet", split="test")

    chosen = _evenly_spread(recipe.head_room_samples)
    samples = sample.sample_responses(model=policy, tokenizer=characters, problems=chosen, seed=seed)
    summary = {
        "parameters": policy.num_parameters(),
        "steps": len(lesson.losses),
        "supervised_loss": fmean(lesson.losses[-recipe.window :]),
        "supervised_solved": fmean(lesson.solved[-recipe.window :]),
        "accuracy": fmean(one.correct for one in samples),
        "parsed": fmean(one.parsed for one in samples),
        "samples": len(samples),
        "response_tokens_deciles": quantiles([one.tokens for one in samples], n=10),
        "seconds": round(time.monotonic() - began, 1),
        "recipe": asdict(recipe),
        "seed": seed,
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")


def _evenly_spread(count: int) -> list[problems.Problem]:
    """``count`` held-out problems, evenly spread over their list because it is sorted by length."""
    held_out = problems.held_out_problems()
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


def _report(step: int, max_steps: int, solved: float) -> None:
    print(json.dumps([step, max_steps, solved]), flush=True)
    if not sys.stdin.readline():
        sys.exit("whoever asked for the task is gone")


if __name__ == "__main__":
    # Ctrl-C reaches the whole group; the asker ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = json.loads(sys.stdin.readline())
    asked["recipe"]["betas"] = tuple(asked["recipe"]["betas"])
    make(folder=Path(asked["folder"]), recipe=Recipe(**asked["recipe"]), seed=asked["seed"], progress=_report)
