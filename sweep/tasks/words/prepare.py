"""Make the task's files: problems for training and evaluation in verl's form, beside a base model that exists."""

import hashlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.tasks.arithmetic.prepare import PreparedTask
from sweep.tasks.pretrained.base_model import base_model
from sweep.tasks.words import reward
from sweep.tasks.words.problems import Problem, held_out_problems, training_problems

TRAINING_PROMPTS = 4096


@dataclass(frozen=True)
class PreparedWords(PreparedTask):
    """The files of the task."""

    @property
    def accuracy_note(self) -> str:
        """One line for the user: the model, and what it is trained and judged on."""
        known = self.summary
        sets = ", ".join(f"{name} ({count})" for name, count in known["evaluation"].items())
        return f"{known['model']}; trains on {known['training']:,} prompts, judged on {sets}"


def prepare(*, cache: Path, model: str, seed: int = 0) -> PreparedWords:
    """Return the task's files.

    Args:
        cache: Folder of all prepared tasks.
        model: What `base_model` takes.
        seed: Of the training's prompts. The held-out problems do not depend on it.

    Raises:
        UserError: There is no such model.
    """
    model_dir = base_model(model, cache=cache)
    training = list(itertools.islice(training_problems(seed=seed), TRAINING_PROMPTS))
    tables = {"train": _rows(training, split="train")}
    tables.update({name: _rows(problems, split="test") for name, problems in held_out_problems().items()})
    summary = {
        "model": model,
        "model_dir": str(model_dir),
        "training": len(training),
        "evaluation": {name: len(rows) for name, rows in tables.items() if name != "train"},
    }
    key = hashlib.sha256(json.dumps([tables, summary]).encode()).hexdigest()[:16]
    folder = cache.resolve() / f"words-{key}"
    if not folder.is_dir():
        _write(folder, tables, summary)
    return PreparedWords(
        model_dir=model_dir,
        train_parquet=folder / "train.parquet",
        eval_parquets={name: folder / f"{name}.parquet" for name in tables if name != "train"},
        reward_file=Path(reward.__file__).resolve(),
        summary_file=folder / "summary.json",
    )


def _rows(problems: Iterable[Problem], *, split: str) -> list[dict[str, Any]]:
    """One row for each problem, as ``verl.utils.dataset.rl_dataset.RLHFDataset`` reads it."""
    return [
        {
            "data_source": problem.benchmark,
            "prompt": problem.prompt,
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": problem.answer},
            "extra_info": {"index": index, "problem_id": problem.problem_id, "split": split},
        }
        for index, problem in enumerate(problems)
    ]


def _write(folder: Path, tables: dict[str, list[dict[str, Any]]], summary: dict[str, Any]) -> None:
    """Fill a folder under another name and rename it; where another process was faster, its folder is the same."""
    import pandas as pd

    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".words-", dir=folder.parent))
    try:
        for name, rows in tables.items():
            pd.DataFrame(rows).to_parquet(partial / f"{name}.parquet")
        (partial / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        partial.chmod(0o755)
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
