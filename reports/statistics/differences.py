"""Accuracy of one arm minus another's: over seeds and problems, and of the trained models alone."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.statistics.crossed import CrossedEstimate, SeedSpread, crossed_mean, independent_difference
from reports.statistics.verdicts import Shares, by_benchmark, paired_shares


def difference(*, tables: Sequence[Shares], spread: SeedSpread | None = None) -> CrossedEstimate:
    """The first of two arms minus the second, the mean over benchmarks.

    Paired by seed and problem; without a common seed by problem alone, with each arm's own seeds in its variance.

    Args:
        tables: From `paired_shares`, of two arms.
        spread: Of a difference between seeds, where it is pooled over more arms; for pairs with common seeds.
    """
    if tables[0].unpaired:
        treated, reference = ([table.unpaired[place] for table in tables] for place in (0, 1))
        return independent_difference(treated=treated, reference=reference)
    return crossed_mean(blocks=[table.values[0] - table.values[1] for table in tables], spread=spread)


def models_difference(*, tables: Sequence[Shares]) -> CrossedEstimate:
    """The same of the models that were trained, over problems alone: it says nothing of other seeds.

    Args:
        tables: As for `difference`.
    """
    shares = [[arm.mean(axis=0) for arm in table.unpaired or table.values] for table in tables]
    return crossed_mean(blocks=[one - other for one, other in shares])


def differences_of_seeds(*, tables: Sequence[Shares]) -> npt.NDArray[np.float64]:
    """The difference with each of the common seeds, (S,); empty without one.

    Args:
        tables: As for `difference`.
    """
    if tables[0].unpaired:
        return np.empty(0)
    return np.asarray(np.mean([(table.values[0] - table.values[1]).mean(axis=1) for table in tables], axis=0))


def paired_tables(*, verdicts: pd.DataFrame, arm: str, other: str) -> list[Shares]:
    """Two arms on the seeds and problems that both have; empty where they share no problem.

    Args:
        verdicts: From `verdict_counts`; may hold more arms.
        arm: The first.
        other: The second.
    """
    both = verdicts[verdicts["arm"].isin([arm, other])]
    if set(both["arm"]) != {arm, other}:
        return []
    return paired_shares(benchmarks=by_benchmark(verdicts=both), arms=[arm, other])[0]
