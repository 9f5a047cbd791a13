"""pass@k and maj@k of one benchmark with intervals, for every k up to the samples of a problem.

maj@k is the chance that the answer given most often by k samples is right.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.statistics.mean_share import mean_share
from sweep.tasks.pass_at_k import pass_at_every_k

Floats = npt.NDArray[np.float64]
CURVE_COLUMNS = ("arm", "k", "pass_at_k", "pass_low", "pass_high", "maj_at_k", "maj_low", "maj_high")
# Answers are compared text by text for maj@k, which is left out where there are more of them.
_MOST_ANSWERS = 50_000


def curve_table(*, samples: pd.DataFrame) -> pd.DataFrame:
    """pass@k and maj@k for every k, over the seeds and problems of an arm (`mean_share`).

    Args:
        samples: The last evaluation of one benchmark: arm, seed, problem_id, correct, and answer where it was kept.

    Returns:
        `CURVE_COLUMNS`; k = 1 has avg@n in both, and k ends with the fewest samples that a problem has. The columns of
        maj@k are NaN where answers were not kept or are too many. Problems that a seed lacks are left out.
    """
    rows = []
    answers = "answer" in samples and len(samples) <= _MOST_ANSWERS and samples["answer"].notna().all()
    for arm, own in samples.groupby("arm", sort=False, observed=True) if len(samples) else ():
        cells = own.groupby(["seed", "problem_id"], sort=False, observed=True)
        counts = cells["correct"].agg(["sum", "size"]).reset_index()
        counts = counts.pivot(index="seed", columns="problem_id", values=["sum", "size"]).dropna(axis=1)
        right, asked = (counts[name].to_numpy(np.int64) for name in ("sum", "size"))
        if not asked.size:
            continue
        passed = pass_scores(correct=right, samples=asked)
        majority: Floats | None = None
        if answers:
            most, votes = passed.shape[2], {cell: _majority(group) for cell, group in cells}
            majority = np.array([[votes[s, g][:most] for g in counts["sum"].columns] for s in counts.index])
        for k in range(passed.shape[2]):
            row = {"arm": str(arm), "k": k + 1, **_with_interval("pass", passed[:, :, k])}
            rows.append({**row, **({} if majority is None else _with_interval("maj", majority[:, :, k]))})
    return pd.DataFrame(rows, columns=list(CURVE_COLUMNS))


def _with_interval(name: str, scores: Floats) -> dict[str, float]:
    found = mean_share(values=scores)
    return {f"{name}_at_k": found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def pass_scores(*, correct: npt.ArrayLike, samples: npt.ArrayLike) -> Floats:
    """pass@1 ... pass@n of every cell of a table, n being the fewest samples of any (`pass_at_every_k`).

    Args:
        correct: Right samples (S, G).
        samples: Samples (S, G), above 0.

    Returns:
        (S, G, n), float64.
    """
    right, asked = np.asarray(correct, dtype=np.int64), np.asarray(samples, dtype=np.int64)
    scores = np.empty((*asked.shape, asked.min()))
    for count in np.unique(asked):
        of_count = asked == count
        scores[of_count] = pass_at_every_k(correct=right[of_count], samples=int(count))[:, : asked.min()]
    return scores


def _majority(samples: pd.DataFrame) -> Floats:
    """maj@k of one problem. All right answers are one class, since each is equivalent to the truth."""
    right = int(samples["correct"].sum())
    votes = Counter(str(answer) for answer in samples.loc[~samples["correct"].astype(bool), "answer"])
    silent = votes.pop("", 0)
    return majority_at_every_k(right=right, wrong=list(votes.values()), silent=silent)


def majority_at_every_k(*, right: int, wrong: Sequence[int], silent: int = 0) -> Floats:
    r"""maj@1 ... maj@n of one problem: k of its n samples drawn without replacement vote for their answers.

    The answer with most votes wins; of several with equally many, one by lot. A sample without an answer does not vote,
    and where none votes nothing is right. The expectation over all :math:`\binom nk` draws, exactly: the right answer,
    which c samples gave, wins with t votes in the draws whose other answers have at most t, so with s others tied,

    .. math:: \binom ct \sum_{s \ge 0} \frac{1}{s+1}\,[x^{k-t} y^s]\; (1+x)^{u}
       \prod_{c'} \Bigl(\sum_{j<t} \binom{c'}{j} x^j + \binom{c'}{t} x^t y\Bigr)

    draws, over the other answers' counts c' and the u samples without one. Counted in whole numbers and divided once.

    Args:
        right: How many samples gave the right answer.
        wrong: How many samples gave each wrong answer.
        silent: How many gave none.

    Returns:
        (n,), float64; entry k - 1 holds maj@k. maj@1 is the share of right samples.

    Raises:
        ValueError: A count below 0 or, of a wrong answer, below 1, or no sample at all.

    >>> majority_at_every_k(right=2, wrong=[1])
    array([0.66666667, 0.66666667, 1.        ])
    """
    if min(wrong, default=1) < 1 or right < 0 or silent < 0 or right + sum(wrong) + silent < 1:
        raise ValueError(f"no votes to count: right {right}, wrong {list(wrong)}, silent {silent}")
    return np.array(_shares(right, tuple(sorted(wrong)), silent))


@lru_cache(maxsize=4096)
def _shares(right: int, wrong: tuple[int, ...], silent: int) -> tuple[float, ...]:
    """See `majority_at_every_k`; problems of a benchmark share their counts, and so the work."""
    samples = right + sum(wrong) + silent
    shares = [0.0] * samples
    for votes in range(1, right + 1):
        ways = comb(right, votes)
        for tied, sizes in enumerate(_draws(wrong, silent, votes, samples - votes)):
            for size, draws in enumerate(sizes):
                if draws:
                    drawn = votes + size
                    # Whole numbers divided by whole numbers: correctly rounded however large both are.
                    shares[drawn - 1] += (ways * draws) / ((tied + 1) * comb(samples, drawn))
    return tuple(shares)


def _draws(others: Sequence[int], silent: int, votes: int, largest: int) -> list[list[int]]:
    """``[tied][size]``: draws of ``size`` from the others with none above ``votes`` and so many at it."""
    table = [[comb(silent, size) for size in range(largest + 1)]]
    for count in others:
        ties = count >= votes
        fresh = [[0] * (largest + 1) for _ in range(len(table) + ties)]
        for tied, sizes in enumerate(table):
            for size, draws in enumerate(sizes):
                if draws:
                    for own in range(min(count, votes, largest - size) + 1):
                        fresh[tied + (own == votes)][size + own] += draws * comb(count, own)
        table = fresh
    return table
