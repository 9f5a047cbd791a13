"""Innovations of the arms over all training steps: how many exceed a threshold, and models of their tails."""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.statistics.tails import EDGES, FEWEST_STEPS, tail_start, validate_tail

TAIL_COLUMNS = (
    "arm", "steps", "held_out", "tail_from", "shape", "x", "predicted", "low", "high", "observed", "inside", "beyond",
    "reason",
)  # fmt: skip
_MOST_ARMS = 12


def step_counts(*, histograms: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Tokens by training step and bin (T, BINS), seeds added up: the seeds of a step share prompts and policy age."""
    steps, rows = np.unique(histograms["step"].to_numpy(np.int64), return_inverse=True)
    bins = np.searchsorted(EDGES, histograms["lower"].to_numpy(np.float64), side="right") - 1
    counts = np.zeros((len(steps), len(EDGES) - 1), dtype=np.int64)
    np.add.at(counts, (rows, bins), histograms["tokens"].to_numpy(np.int64))
    return counts


def tail_table(*, histograms: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Tail models of every arm in which nothing was clipped, with what they say of the steps they were not fitted to.

    The last third of the steps is held out, or fewer where the fit would be left with less than it needs: training's
    own future is what a prediction is for. Of many such arms twelve are fitted, spread evenly over their gains.

    Args:
        histograms: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.

    Returns:
        `TAIL_COLUMNS`, three levels an arm: twice and four times where the tail begins, and twice the largest bin seen.
    """
    rows: list[dict[str, object]] = []
    unclipped = arms[~(arms["clipped_tokens"] > 0) & arms["arm"].isin(set(histograms["arm"].unique()))]
    # An arm whose threshold was never reached trained like the one without, and would only repeat it.
    if np.isinf(unclipped["kappa"]).any():
        unclipped = unclipped[np.isinf(unclipped["kappa"])]
    if len(unclipped) > _MOST_ARMS:
        # Evenly over the gains: tails depend on little else, and each fit takes a tenth of a second.
        places = np.linspace(0, len(unclipped) - 1, _MOST_ARMS).round().astype(int)
        unclipped = unclipped.sort_values("gain", kind="stable").iloc[places]
    for name in unclipped["arm"]:
        counts = step_counts(histograms=histograms[histograms["arm"] == name])
        held = min(max(1, len(counts) // 3), len(counts) - FEWEST_STEPS)
        common = {"arm": name, "steps": len(counts), "held_out": max(held, 0)}
        if held < 1:
            reason = f"{len(counts)} steps are too few: {FEWEST_STEPS} are fitted and one is held out"
            rows.append({**common, "reason": reason})
            continue
        apart = np.arange(len(counts)) >= len(counts) - held
        try:
            start = tail_start(counts=counts[~apart])
            highest = float(EDGES[np.flatnonzero(counts[~apart].sum(axis=0))[-1]])
            levels = sorted({2 * start, 4 * start, 2 * highest})
            model, table = validate_tail(counts=counts, held_out=apart, levels=levels, tail_from=start)
        except ValueError as error:
            rows.append({**common, "reason": str(error)})
            continue
        of_model = {**common, "tail_from": model.tail_from, "shape": model.shape, "reason": ""}
        rows += [{**of_model, **{k: row[k] for k in TAIL_COLUMNS if k in row}} for row in table.to_dict("records")]
    return pd.DataFrame(rows, columns=list(TAIL_COLUMNS))


def exceedance(*, histograms: pd.DataFrame) -> pd.DataFrame:
    """Share of tokens with |innovation| / sigma of at least x, at the bounds of bins, over all steps and seeds.

    Args:
        histograms: Those of one arm, from `reports.data.load`.

    Returns:
        Columns x and share; x = 0, where the share is 1, is left out.
    """
    counts = step_counts(histograms=histograms).sum(axis=0)
    above = np.cumsum(counts[::-1])[::-1]
    keep = (above > 0) & (EDGES[:-1] > 0)
    total = max(int(above[0]), 1) if len(above) else math.nan
    return pd.DataFrame({"x": EDGES[:-1][keep], "share": above[keep] / total})
