"""avg@n, pass@k and maj@k of the benchmarks in a table of samples, for every k up to the samples of a problem."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from reports.statistics.majority import equivalence_classes, majority_at_every_k
from sweep.tasks.pass_at_k import pass_at_every_k


def curves(table: pd.DataFrame, *, same: Callable[[str, str], bool] | None = None) -> pd.DataFrame:
    """One row for each benchmark and k: means over problems of pass@k and maj@k.

    Args:
        table: From `sweep.store.trial_tables.read_samples`: benchmark, problem_id, correct, answer.
        same: Whether two wrong answers mean the same (``Grader.same``); by default, whether they are the same text. All
            right answers are one class, since each is equivalent to the truth.

    Returns:
        Columns benchmark, k, pass_at_k, maj_at_k; k = 1 has avg@n in both. maj_at_k is NaN where answers were not kept.

    Raises:
        ValueError: Problems of one benchmark differ in their number of samples.
    """
    rows = []
    for benchmark, samples in table.groupby("benchmark", sort=False):
        groups = [group for _, group in samples.groupby("problem_id", sort=False)]
        sizes = {len(group) for group in groups}
        if len(sizes) != 1:
            raise ValueError(
                f"{benchmark}: problems have between {min(sizes)} and {max(sizes)} samples, not equally many"
            )
        n = sizes.pop()
        passed = pass_at_every_k(correct=[int(group["correct"].sum()) for group in groups], samples=n).mean(axis=0)
        majority = np.full(n, np.nan)
        if "answer" in samples and samples["answer"].notna().all():
            majority = np.mean([_majority(group, same) for group in groups], axis=0)
        rows += [
            {"benchmark": benchmark, "k": k, "pass_at_k": passed[k - 1], "maj_at_k": majority[k - 1]}
            for k in range(1, n + 1)
        ]
    return pd.DataFrame(rows, columns=["benchmark", "k", "pass_at_k", "maj_at_k"])


def _majority(group: pd.DataFrame, same: Callable[[str, str], bool] | None) -> np.ndarray:
    right = int(group["correct"].sum())
    answers = [str(answer) for answer in group.loc[~group["correct"].astype(bool), "answer"]]
    classes = equivalence_classes(answers, same=same or (lambda new, first: new == first))
    given = [number for number in classes if number >= 0]
    votes = np.bincount(given).tolist() if given else []
    return majority_at_every_k(right=[right] if right else [], wrong=votes, silent=classes.count(-1))
