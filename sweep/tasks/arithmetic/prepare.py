"""Make the task's files once and keep them: model, tokenizer, training and held-out problems, and a note of head-room.

The cache is keyed by the content of everything that decides the result. A folder that bears its key's name is complete:
it is filled under another name, beside a lock that the kernel frees when its owner dies, and renamed at the end.
"""

import fcntl
import hashlib
import importlib.metadata
import itertools
import json
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, quantiles

from transformers.utils import logging

from sweep.tasks.arithmetic import model, parquet, problems, reward, sample, teach, threads, tokenizer

TRAINING_PROMPTS = 2048

_DECIDING_MODULES = (model, parquet, problems, reward, sample, teach, threads, tokenizer)


@dataclass(frozen=True)
class PreparedTask:
    """The files of a task that is ready to be trained on."""

    model_dir: Path
    """Weights, configuration and tokenizer, as ``from_pretrained`` reads them."""
    train_parquet: Path
    eval_parquets: dict[str, Path]
    """Benchmark name (the rows' ``data_source``) -> file."""
    reward_file: Path
    """For ``reward.custom_reward_function.path``; the function is ``compute_score``."""
    summary_file: Path

    @cached_property
    def summary(self) -> dict:
        """What is known of the taught model: parameters, loss, held-out accuracy, lengths, how it was made."""
        return json.loads(self.summary_file.read_text())

    @property
    def accuracy_note(self) -> str:
        """One line for the user: how good the model is before RL."""
        known = self.summary
        return (
            f"{known['parameters'] / 1e6:.1f} M parameters, taught for {known['steps']} steps; "
            f"{known['accuracy']:.0%} of {known['samples']} held-out problems right at temperature 1 before RL"
        )


def prepare(
    *,
    cache: Path,
    seed: int = 0,
    progress: teach.Progress | None = None,
    recipe: teach.Recipe | None = None,
) -> PreparedTask:
    """Return the task's files, teaching the model first unless the cache has it (about two minutes of one core).

    Args:
        cache: Folder to keep results in; may be shared by processes, the second waits for the first.
        seed: Of the model's initialisation, its teaching and the RL prompts. The held-out problems do not depend on it.
        progress: See ``teach.Progress``; not called when the cache has the result.
        recipe: How to teach; the default is the one whose head-room is known.
    """
    recipe = recipe or teach.Recipe()
    folder = cache.resolve() / f"arithmetic-{_fingerprint(recipe, seed)}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            if not folder.exists():
                partial = folder.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
                partial.mkdir()
                _make(partial, recipe, seed, progress)
                partial.rename(folder)
    return PreparedTask(
        model_dir=folder / "model",
        train_parquet=folder / "train.parquet",
        eval_parquets={parquet.DATA_SOURCE: folder / "held_out.parquet"},
        reward_file=Path(reward.__file__).resolve(),
        summary_file=folder / "summary.json",
    )


def _fingerprint(recipe: teach.Recipe, seed: int) -> str:
    """Hash of sources, recipe, seed, versions and machine type: another one may mean other weights."""
    files = [__file__, *(module.__file__ for module in _DECIDING_MODULES)]
    sources = [Path(file).read_text(encoding="utf-8") for file in files]
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "tokenizers")}
    content = [sources, asdict(recipe), seed, versions, platform.machine()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _spread(count: int) -> list[problems.Problem]:
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


def _make(folder: Path, recipe: teach.Recipe, seed: int, progress: teach.Progress | None) -> None:
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

    chosen = _spread(recipe.head_room_samples)
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
