"""What training changed: every arm against the untrained model, which was judged once with each seed."""

import numpy as np
import pandas as pd

from reports.statistics.accuracy import arm_accuracies
from reports.statistics.differences import difference, paired_tables
from reports.statistics.multiplicity import holm, simultaneous_intervals
from reports.statistics.verdicts import main_benchmark, verdict_counts

# No arm can be called so: a name of an arm is one word.
UNTRAINED = "the untrained model"
EFFECT_COLUMNS = (
    "arm", "difference", "low", "high", "simultaneous_low", "simultaneous_high", "p", "p_adjusted", "problems", "seeds",
    "same_as",
)  # fmt: skip


def untrained_verdicts(*, samples: pd.DataFrame) -> pd.DataFrame:
    """Right samples of the untrained model by seed, benchmark and problem, as `verdict_counts` of an arm of its own.

    Args:
        samples: `reports.data.load.StudyRecord.untrained`. Where several trials judged it with one seed, they drew the
            same answers, and the first counts.
    """
    if samples.empty:
        return verdict_counts(samples=samples)
    first = samples[samples["trial"] == samples.groupby("seed")["trial"].transform("first")]
    return verdict_counts(samples=first.assign(arm=UNTRAINED))


def training_effects(*, verdicts: pd.DataFrame, untrained: pd.DataFrame, same: dict[str, str]) -> pd.DataFrame:
    """Accuracy of each arm minus that of the untrained model, paired by seed and problem, the mean over benchmarks.

    Args:
        verdicts: The study's `verdict_counts`.
        untrained: From `untrained_verdicts`.
        same: Arms that are others by proof (`reports.analysis.arms.twin_arms`): they have the other's row, and no part
            in the correction.

    Returns:
        `EFFECT_COLUMNS`: shares, 95 % intervals over problems and seeds, of each arm alone and for all together
        (`simultaneous_intervals`), p and p after Holm, since a sentence lists the arms that it changed.
    """
    rows, estimates = [], []
    for arm in verdicts["arm"].unique() if len(untrained) else ():
        if arm not in same and (
            tables := paired_tables(verdicts=pd.concat([verdicts, untrained]), arm=str(arm), other=UNTRAINED)
        ):
            found, names = difference(tables=tables), ("low", "high", "p", "problems", "seeds")
            estimates.append(found)
            rows.append(
                {"arm": arm, "difference": found.value, **{name: getattr(found, name) for name in names}, "same_as": ""}
            )
    table = pd.DataFrame(rows, columns=list(EFFECT_COLUMNS))
    if table.empty:
        return table
    low, high = simultaneous_intervals(estimates=estimates).T
    adjusted = holm(p_values=table["p"].to_numpy(np.float64))
    table = table.assign(simultaneous_low=low, simultaneous_high=high, p_adjusted=adjusted)
    twins = [table[table["arm"] == other].assign(arm=arm, same_as=other) for arm, other in same.items()]
    return pd.concat([table, *twins], ignore_index=True)


def untrained_accuracy(*, untrained: pd.DataFrame) -> "pd.Series[float] | None":
    """The row of `arm_accuracies` of the untrained model on its main benchmark; None where it was not judged."""
    if untrained.empty:
        return None
    main = untrained[untrained["benchmark"] == main_benchmark(verdicts=untrained)]
    return arm_accuracies(verdicts=main).iloc[0]
