"""What a study registered before it was run: comparisons, tested as a family of their own, and a recovery of a gap.

Where a study registers no recovery, the paper's stands in its place.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from reports.analysis.arms import as_in_paper, row_of
from reports.statistics.differences import difference, differences_of_seeds, models_difference, paired_tables
from reports.statistics.multiplicity import holm
from reports.statistics.power import next_study
from reports.statistics.recovery import arm_recovery
from reports.statistics.seed_variance import accuracy_of_seeds, pooled_seed_variance
from reports.statistics.verdicts import BenchmarkCounts, Shares, by_benchmark
from sweep.study.registered import Registered

REGISTERED_COLUMNS = (
    "arm", "reference", "difference", "low", "high", "p", "p_adjusted", "problems", "seeds", "verdict", "reason",
    "separate_low", "separate_high", "separate_p", "pooled_low", "pooled_high", "pooled_p", "models_low", "models_high",
    "same_sign", "seeds_needed",
)  # fmt: skip
RECOVERY_COLUMNS = (
    "arm", "registered", "value", "low", "high", "gap", "gap_p", "seeds", "verdict", "reason",
)  # fmt: skip
_LEVEL = 0.05
# The paper registered that IS-KPO has to close half of the gap between two arms (text beside its Table 1).
_PAPERS_ARM, _PAPERS_ENDS, _PAPERS_SHARE = "IS-KPO-weak", ("KPO-strong", "KPO-weak"), 0.5
_MOST_CANDIDATES = 12


@dataclass(frozen=True)
class RecoveryTable:
    """Recovery of the gap between two arms, registered or else the paper's KPO-strong and KPO-weak.

    Attributes:
        rows: `RECOVERY_COLUMNS`, one row an arm: the registered one and those that clip.
        ends: Labels of the arms at the gap's upper and lower end.
        at_least: The share that counts as recovered.
        missing: Why there is no row; else empty.
    """

    rows: pd.DataFrame
    ends: tuple[str, str]
    at_least: float
    missing: str


def registered_comparisons(
    *, verdicts: pd.DataFrame, registered: Registered | None, same: Mapping[str, str] = MappingProxyType({})
) -> pd.DataFrame:
    """Each registered pair on the seeds and problems that both have, the mean over benchmarks (`difference`).

    Where the study registered `seed_variance: pooled`, the variance between seeds is that of all arms
    (`reports.statistics.seed_variance`); otherwise that of the two arms.

    Holm's correction counts every registered pair, also those that could not be tested: a family does not shrink
    because a trial failed.

    Args:
        verdicts: From `verdict_counts`.
        registered: What the study registered; None for nothing.
        same: Arms that are others by proof (`reports.analysis.arms.twin_arms`): there is nothing to test between them.

    Returns:
        `REGISTERED_COLUMNS`, in the study's order; differences are shares, ``verdict`` is better, worse, open or not
        tested, at 5 % after correction, and ``reason`` says why a pair was not tested. ``separate_*`` and
        ``pooled_*`` are the results without and with pooling, one of which is the registered one; ``models_*`` is the
        interval of these trained models over problems alone, ``same_sign`` whether all common seeds point the same way
        (False without a common seed), and ``seeds_needed`` the seeds with which a difference as large as this one would
        be found with 80 % power at 5 %, without pooling, as far as these seeds tell (NaN: more than 64, or not known).
    """
    evaluated = set(verdicts["arm"].unique())
    pooled = registered is not None and registered.seed_variance == "pooled"
    every = by_benchmark(verdicts=verdicts) if registered and registered.comparisons else []
    rows: list[dict[str, object]] = []
    for pair in registered.comparisons if registered else ():
        row: dict[str, object] = {"arm": pair.arm, "reference": pair.reference, "reason": ""}
        if same.get(pair.arm, pair.arm) == same.get(pair.reference, pair.reference):
            why = "identical by construction: the threshold was never reached"
            rows.append({**row, **dict.fromkeys(REGISTERED_COLUMNS[3:6], math.nan), "difference": 0.0, "reason": why})
            continue
        missing = [name for name in (pair.arm, pair.reference) if name not in evaluated]
        tables = [] if missing else paired_tables(verdicts=verdicts, arm=pair.arm, other=pair.reference)
        if not tables:
            why = f"{' and '.join(missing)} not evaluated" if missing else "no problem in common"
            rows.append({**row, **dict.fromkeys(REGISTERED_COLUMNS[2:6], math.nan), "reason": why})
            continue
        rows.append({**row, **_result(tables, every, pooled)})
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


def _result(tables: list[Shares], every: list[BenchmarkCounts], pooled: bool) -> dict[str, object]:
    """The columns of a pair that share problems, from difference to problems and from separate_low on."""
    benchmarks = [one for one in every if one.name in {table.benchmark for table in tables}]
    shared = pooled_seed_variance(means=accuracy_of_seeds(benchmarks=benchmarks))
    separate = difference(tables=tables)
    together = difference(tables=tables, spread=shared.of_difference) if shared else separate
    models, signs = models_difference(tables=tables), np.sign(differences_of_seeds(tables=tables))
    chosen = together if pooled else separate
    needed = math.nan
    if separate.seeds > 1 and separate.value and math.isfinite(separate.components.seed):
        planned = next_study(components=separate.components, effect=abs(separate.value), problems=[separate.problems])
        needed = float(planned["seeds"].iloc[0])
    ends = ("low", "high", "p")
    return {
        "difference": chosen.value,
        **{name: getattr(chosen, name) for name in (*ends, "problems", "seeds")},
        **{f"separate_{name}": getattr(separate, name) for name in ends},
        **{f"pooled_{name}": getattr(together, name) for name in ends},
        "models_low": models.low,
        "models_high": models.high,
        "same_sign": bool(signs.size and abs(signs.sum()) == signs.size),
        "seeds_needed": needed,
    }


def recovery_table(*, verdicts: pd.DataFrame, arms: pd.DataFrame, registered: Registered | None) -> RecoveryTable:
    """The registered arm and every arm with a threshold, between the ends of the gap.

    Args:
        verdicts: From `verdict_counts`.
        arms: From `reports.analysis.arms.arm_table`.
        registered: What the study registered; None for nothing.
    """
    plan = registered.recovery if registered else None
    at_least = plan.at_least if plan else _PAPERS_SHARE
    upper_end, lower_end = (
        (row_of(arms=arms, name=name)["label"] for name in (plan.upper, plan.lower)) if plan else _PAPERS_ENDS
    )

    def table(rows: list[dict[str, object]], missing: str = "") -> RecoveryTable:
        frame = pd.DataFrame(rows, columns=list(RECOVERY_COLUMNS))
        return RecoveryTable(rows=frame, ends=(upper_end, lower_end), at_least=at_least, missing=missing)

    evaluated = set(verdicts["arm"].unique())
    papers = as_in_paper(arms=arms)
    titles = arms[papers & arms["arm"].isin(evaluated)].drop_duplicates("title").set_index("title")["arm"].to_dict()
    upper, lower = (plan.upper, plan.lower) if plan else (titles.get(title) for title in _PAPERS_ENDS)
    wanted = (plan.upper, plan.lower, plan.arm) if plan else _PAPERS_ENDS
    known = evaluated if plan else set(titles)
    if lacking := [name for name in wanted if name not in known]:
        return table([], f"this study has not evaluated {' or '.join(lacking)}, so there is no gap to recover")
    named = arms["arm"] == plan.arm if plan else papers & (arms["title"] == _PAPERS_ARM)
    able = (np.isfinite(arms["kappa"]) | named) & arms["arm"].isin(evaluated) & ~arms["arm"].isin([upper, lower])
    # The registered arm and those that clipped most are enough.
    candidates = arms[able].assign(registered=named[able])
    candidates = candidates.sort_values(["registered", "clip_fraction"], ascending=False, kind="stable")
    candidates = candidates.head(_MOST_CANDIDATES).sort_values("number")
    if candidates.empty:
        return table([], "no evaluated arm has a threshold")
    rows: list[dict[str, object]] = []
    for _, arm in candidates.iterrows():
        row: dict[str, object] = {"arm": arm["arm"], "registered": bool(arm["registered"])}
        try:
            found = arm_recovery(
                verdicts=verdicts[verdicts["arm"].isin([upper, lower, arm["arm"]])],
                upper=str(upper),
                lower=str(lower),
                candidate=arm["arm"],
                at_least=at_least,
            )
        except ValueError as error:  # no problem in common
            rows.append({**row, "verdict": "undefined", "reason": str(error)})
            continue
        numbers = {name: getattr(found, name) for name in RECOVERY_COLUMNS[2:5]}
        gap = {"gap": found.gap.value, "gap_p": found.gap.p, "seeds": found.gap.seeds}
        rows.append({**row, **numbers, **gap, "verdict": found.verdict, "reason": found.reason})
    return table(rows)
