"""Problems as parquet files in verl's form (``verl.utils.dataset.rl_dataset.RLHFDataset``)."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from sweep.tasks.arithmetic.problems import Problem
from sweep.tasks.arithmetic.series import Series


def write_problems(*, problems: Iterable[Problem | Series], path: Path, split: str, data_source: str) -> None:
    """Write one row for each problem; ``split`` ("train", "test") goes into ``extra_info``."""
    rows = [
        {
            "data_source": data_source,
            "prompt": [{"role": "user", "content": problem.question}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": problem.answer},
            "extra_info": {"index": index, "problem_id": problem.problem_id, "split": split},
        }
        for index, problem in enumerate(problems)
    ]
    pd.DataFrame(rows).to_parquet(path)
