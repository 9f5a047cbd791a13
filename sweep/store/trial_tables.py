"""The tables of samples that a trial leaves of its evaluations, with avg@k and pass@k."""

import json
import math
from pathlib import Path

import pandas as pd

from sweep.tasks.pass_at_k import pass_at_every_k

COLUMNS = (
    "benchmark",
    "problem_id",
    "sample",
    "prompt",
    "response",
    "truth",
    "correct",
    "score",
    "parsed",
    "tokens",
    "truncated",
    "answer",
    "outcome",
    "subject",
    "level",
    "step",
)


def read_samples(path: Path) -> pd.DataFrame:
    """One row a sample from verl's JSON lines.

    The task's reward function adds ``problem_id``, ``benchmark``, ``parsed`` and, where known, ``tokens``,
    ``truncated``, ``answer``, ``outcome`` of the grading, ``subject`` and ``level`` to each sample; verl adds the rest.
    """
    rows = []
    # An answer may hold other characters that `str.splitlines` takes for the end of a line, such as U+2028.
    for line in filter(None, path.read_text(encoding="utf-8").split("\n")):
        entry = json.loads(line)
        rows.append(
            {
                "benchmark": str(entry["benchmark"]),
                "problem_id": str(entry["problem_id"]),
                "prompt": entry["input"],
                "response": entry["output"],
                "truth": None if entry["gts"] is None else str(entry["gts"]),
                "correct": float(entry["score"]) >= 1.0,
                "score": float(entry["score"]),
                "parsed": bool(entry.get("parsed", True)),
                "tokens": entry.get("tokens"),
                "truncated": entry.get("truncated"),
                "answer": entry.get("answer"),
                "outcome": entry.get("outcome"),
                "subject": entry.get("subject"),
                "level": entry.get("level"),
                "step": int(entry["step"]),
            }
        )
    table = pd.DataFrame(rows)
    table["sample"] = table.groupby(["benchmark", "problem_id"]).cumcount()
    return table[list(COLUMNS)].sort_values(["benchmark", "problem_id", "sample"], ignore_index=True)


def accuracy(table: pd.DataFrame, *, k: int) -> dict[str, float]:
    """avg@k, pass@k and their company for each benchmark in a samples table.

    The unit is the problem: avg@k is the mean over problems of the share of right samples, and ``avg_se`` the standard
    error of that mean over problems (Miller 2024, arXiv 2411.00640, section 2.2), in the same unit (a share).

    Args:
        table: From `read_samples`.
        k: Samples a problem, as in the study file.

    Raises:
        ValueError: A problem has another number of samples than k.
    """
    metrics: dict[str, float] = {}
    for benchmark, rows in table.groupby("benchmark"):
        problems = rows.groupby("problem_id")["correct"].agg(["sum", "count", "mean"])
        if not (problems["count"] == k).all():
            odd = problems[problems["count"] != k].iloc[0]
            raise ValueError(f"{benchmark}: expected {k} samples a problem, problem {odd.name} has {odd['count']}")
        name = f"eval/{benchmark}"
        metrics[f"{name}/avg_at_{k}"] = float(problems["mean"].mean())
        passed = pass_at_every_k(correct=problems["sum"].to_numpy(), samples=k)
        metrics[f"{name}/pass_at_{k}"] = float(passed[:, k - 1].mean())
        if len(problems) > 1:
            metrics[f"{name}/avg_se"] = float(problems["mean"].std(ddof=1) / math.sqrt(len(problems)))
        metrics[f"{name}/problems"] = float(len(problems))
        metrics[f"{name}/unparsed"] = float(1.0 - rows["parsed"].mean())
        if rows["truncated"].notna().all():
            metrics[f"{name}/truncated"] = float(rows["truncated"].astype(bool).mean())
        if rows["outcome"].notna().all():
            for outcome in ("timed_out", "crashed"):
                metrics[f"{name}/{outcome}"] = float((rows["outcome"] == outcome).sum())
    return metrics


# The table of the evaluation before training, without its ending, and how its metrics' names begin.
UNTRAINED_SAMPLES, UNTRAINED = "step_0000", "untrained/"


def keep_samples(path: Path, *, step: int, k: int) -> tuple[Path, dict[str, float]]:
    """Write the samples that verl dumped as a table beside them; returns its path and the accuracy, see `accuracy`."""
    table, parquet = read_samples(path), path.with_name(f"step_{step:04d}.parquet")
    table.to_parquet(parquet, index=False)
    return parquet, accuracy(table, k=k)
