"""The comparisons that a study registered before it was run: tested as a family of their own, corrected by Holm."""

import math

import numpy as np
import pandas as pd

from reports.analysis.tension import paired_accuracy
from reports.statistics.comparison import holm
from sweep.study.registered import Registered

REGISTERED_COLUMNS = (
    "arm", "reference", "difference", "low", "high", "p", "p_adjusted", "problems", "seeds", "verdict", "reason",
)  # fmt: skip
_LEVEL = 0.05


def registered_comparisons(*, verdicts: pd.DataFrame, registered: Registered | None) -> pd.DataFrame:
    """Each registered pair on the seeds and problems that both have, the mean over benchmarks (`crossed_mean`).

    Holm's correction counts every registered pair, also those that could not be tested: a family does not shrink
    because a trial failed.

    Args:
        verdicts: From `verdict_counts`.
        registered: Of the study; None for none.

    Returns:
        `REGISTERED_COLUMNS`, in the study's order; differences are shares, ``verdict`` is better, worse, open or not
        tested, at 5 % after correction, and ``reason`` says why a pair was not tested.
    """
    evaluated = set(verdicts["arm"].unique())
    rows: list[dict[str, object]] = []
    for pair in registered.comparisons if registered else ():
        row: dict[str, object] = {"arm": pair.arm, "reference": pair.reference, "reason": ""}
        missing = [name for name in (pair.arm, pair.reference) if name not in evaluated]
        estimate = None if missing else paired_accuracy(verdicts=verdicts, arm=pair.arm, other=pair.reference)
        if estimate is None:
            why = f"{' and '.join(missing)} not evaluated" if missing else "no problem in common"
            rows.append({**row, **dict.fromkeys(REGISTERED_COLUMNS[2:6], math.nan), "reason": why})
            continue
        names = ("low", "high", "p", "problems", "seeds")
        rows.append({**row, "difference": estimate.value, **{name: getattr(estimate, name) for name in names}})
    table = pd.DataFrame(rows, columns=list(REGISTERED_COLUMNS))
    if table.empty:
        return table
    p = table["p"].to_numpy(np.float64)
    adjusted = np.where(np.isfinite(p), holm(p_values=np.where(np.isfinite(p), p, 1.0)), np.nan)
    words = [
        "not tested" if math.isnan(value) else "open" if value >= _LEVEL else "better" if difference > 0 else "worse"
        for value, difference in zip(adjusted.tolist(), table["difference"].tolist(), strict=True)
    ]
    return table.assign(p_adjusted=adjusted, verdict=words)
