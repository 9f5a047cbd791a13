"""Verdicts as counts: one row an arm, seed, benchmark and problem, and arrays of shares in which arms are paired.

Samples are added up once. Every statistic after that works on some thousands of counts instead of millions of verdicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

VERDICT_COLUMNS = ("arm", "seed", "benchmark", "problem_id", "correct", "samples")
ALL_BENCHMARKS = "all"


def final_samples(*, samples: pd.DataFrame) -> pd.DataFrame:
    """The last evaluation of each trial and benchmark."""
    if samples.empty:
        return samples
    return samples[samples["step"] == samples.groupby(["trial", "benchmark"])["step"].transform("max")]


def verdict_counts(*, samples: pd.DataFrame) -> pd.DataFrame:
    """Count the right samples of each problem in the last evaluation of each trial.

    Args:
        samples: One row a sample, from `reports.data.load`: trial, arm, seed, benchmark, problem_id, correct, step.

    Returns:
        `VERDICT_COLUMNS`, in order of first appearance; ``correct`` and ``samples`` are integers.
    """
    last = final_samples(samples=samples)
    if last.empty:
        return pd.DataFrame(columns=list(VERDICT_COLUMNS))
    keys = list(VERDICT_COLUMNS[:4])
    counts = last.groupby(keys, sort=False, observed=True)["correct"].agg(["sum", "size"]).reset_index()
    counts = counts.rename(columns={"sum": "correct", "size": "samples"})
    return counts.astype({"correct": np.int64, "samples": np.int64})[list(VERDICT_COLUMNS)]


@dataclass(frozen=True)
class BenchmarkCounts:
    """The counts of one benchmark as arrays (arms A, seeds S, problems G); 0 samples where there was no evaluation.

    Attributes:
        name: Name of the benchmark.
        arms: Names, in order of first appearance.
        seeds: Training seeds, ascending.
        correct: Right samples (A, S, G).
        samples: Samples (A, S, G).
    """

    name: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    correct: npt.NDArray[np.int64]
    samples: npt.NDArray[np.int64]

    def evaluated_seeds(self, *, arms: Sequence[str]) -> set[int]:
        """Seeds with which each of the arms was evaluated."""
        there = np.all((self.samples[[self.arms.index(arm) for arm in arms]] > 0).any(axis=2), axis=0)
        return {seed for seed, known in zip(self.seeds, there.tolist(), strict=True) if known}


@dataclass(frozen=True)
class Shares:
    """Right samples of arms that are compared on one benchmark, on the problems that all of them have.

    Attributes:
        benchmark: Its name.
        correct: Right samples (arms, seeds, problems).
        samples: Samples, same shape, all above 0.
        present: Which of the benchmark's problems these are, boolean (G,).
        unpaired: Shares of each arm with its own seeds (seeds of the arm, problems), where arms have no seed in common;
            else empty.
    """

    benchmark: str
    correct: npt.NDArray[np.int64]
    samples: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    unpaired: tuple[npt.NDArray[np.float64], ...] = ()

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Shares of right samples, (arms, seeds, problems)."""
        return np.asarray(self.correct / self.samples)


def paired_shares(
    *, benchmarks: Sequence[BenchmarkCounts], arms: Sequence[str]
) -> tuple[list[Shares], tuple[int, ...]]:
    """Arms on the seeds and problems that all of them have, for each benchmark that all of them have.

    A seed counts if each of the arms was evaluated with it on each of these benchmarks, a problem if each arm has it
    under each such seed. Without a common seed, the seeds of each arm are added up, and each arm's own stand beside.

    Returns:
        One entry a benchmark with a problem in common, and the common seeds; no seed where there is none.
    """
    shared = [one for one in benchmarks if set(arms) <= set(one.arms)]
    seeds = tuple(sorted(set.intersection(*(one.evaluated_seeds(arms=arms) for one in shared)))) if shared else ()
    tables = []
    for one in shared:
        rows = [one.arms.index(arm) for arm in arms]
        correct, samples = one.correct[rows], one.samples[rows]
        unpaired: tuple[npt.NDArray[np.float64], ...] = ()
        if seeds:
            columns = [one.seeds.index(seed) for seed in seeds]
            correct, samples = correct[:, columns], samples[:, columns]
            present = np.asarray((samples > 0).all(axis=(0, 1)))
        else:
            own = [[seed in of_arm for seed in one.seeds] for of_arm in _own_seeds(shared, arms)]
            there = np.array(own, dtype=np.bool_)[:, :, None]
            present = np.asarray(((samples > 0) | ~there).all(axis=(0, 1)) & (samples > 0).any(axis=1).all(axis=0))
            if all(any(of_arm) for of_arm in own):
                unpaired = tuple((correct[i][own[i]] / samples[i][own[i]])[:, present] for i in range(len(rows)))
            correct, samples = correct.sum(axis=1, keepdims=True), samples.sum(axis=1, keepdims=True)
        if present.any():
            tables.append(Shares(one.name, correct[:, :, present], samples[:, :, present], present, unpaired))
    return tables, seeds


def _own_seeds(benchmarks: Sequence[BenchmarkCounts], arms: Sequence[str]) -> list[set[int]]:
    """For each arm the seeds with which it was evaluated on all of the benchmarks."""
    return [set.intersection(*(one.evaluated_seeds(arms=[arm]) for one in benchmarks)) for arm in arms]


def main_benchmark(*, verdicts: pd.DataFrame) -> str | None:
    """The benchmark with most problems, which the table of arms shows; None without any.

    Args:
        verdicts: From `verdict_counts`.
    """
    if verdicts.empty:
        return None
    return str(verdicts.groupby("benchmark", sort=False)["problem_id"].nunique().idxmax())


def by_benchmark(*, verdicts: pd.DataFrame) -> list[BenchmarkCounts]:
    """Arrays of every benchmark, in order of first appearance; rows of one cell are added up.

    Args:
        verdicts: `VERDICT_COLUMNS`.

    Raises:
        ValueError: A column is missing, or a row has more right samples than samples.
    """
    if missing := [name for name in VERDICT_COLUMNS if name not in verdicts]:
        raise ValueError(f"verdicts lack {', '.join(missing)}; they need {', '.join(VERDICT_COLUMNS)}")
    if ((verdicts["correct"] > verdicts["samples"]) | (verdicts["correct"] < 0)).any():
        raise ValueError("a problem has more right samples than samples, or fewer than none")
    tables = []
    for name, table in verdicts.groupby("benchmark", sort=False, observed=True):
        arm, arms = pd.factorize(table["arm"])
        problem, problems = pd.factorize(table["problem_id"])
        seed, seeds = pd.factorize(table["seed"], sort=True)
        shape = (len(arms), len(seeds), len(problems))
        correct, samples = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        np.add.at(correct, (arm, seed, problem), table["correct"].to_numpy(np.int64))
        np.add.at(samples, (arm, seed, problem), table["samples"].to_numpy(np.int64))
        names = tuple(str(value) for value in arms), tuple(int(value) for value in seeds)
        tables.append(BenchmarkCounts(str(name), *names, correct, samples))
    return tables
