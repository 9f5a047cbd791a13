"""Innovations of the arms by mini-batch update and class of tokens: what makes their pooled kurtosis high.

Pooled innovations mix updates whose drift grows from zero, and tokens of which the old policy was sure or not. Both
raise the kurtosis without any outlier. What is left within updates, and within updates and classes, is what is heavy in
itself. In update 0 the policy has not moved: its innovations are rounding, the noise floor of the numbers.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from iskpo.innovation_moments import (
    CLASS_BOUNDS,
    FIELDS,
    kurtosis,
    kurtosis_between,
    kurtosis_within,
    merge_moments,
    standard_deviation,
)

Floats = npt.NDArray[np.float64]
ALL = "all"
UPDATE_COLUMNS = (
    "arm", "update", "pi_old", "tokens", "clipped", "nis", "max_abs", "mean", "std", "kurtosis", "kurtosis_within",
)  # fmt: skip
MIXTURE_COLUMNS = (
    "arm", "updates", "tokens", "nis", "kurtosis", "kurtosis_between", "kurtosis_within", "kurtosis_within_classes",
    "std_first", "std_last", "std_unlikely", "std_certain",
)  # fmt: skip


def update_table(*, moments: pd.DataFrame) -> pd.DataFrame:
    """Innovations over all steps and seeds, one row an arm, update and class of tokens, and one for all classes.

    Args:
        moments: From `reports.data.load`.

    Returns:
        `UPDATE_COLUMNS`: update from 0; pi_old, the class's range of probability under the old policy, or ``all``;
        tokens and clipped ones; nis, the mean of (innovation / sigma)^2, 1 if Q and V are true; max_abs, mean and std
        in log-ratio units; kurtosis pooled over steps and seeds, and kurtosis_within each of them.
    """
    rows: list[dict[str, object]] = []
    for (arm, update), of_update in moments.groupby(["arm", "update"], sort=False):
        classes = [(f"{low:g}–{high:g}", of) for (low, high), of in of_update.groupby(["pi_old_from", "pi_old_to"])]
        for name, part in [(ALL, of_update), *classes]:
            steps = _merged(part, ["trial", "step"])
            whole = merge_moments(steps)
            named = dict(zip(FIELDS, whole, strict=True))
            rows.append(
                {
                    "arm": arm,
                    "update": update,
                    "pi_old": name,
                    "nis": named["nis_sum"] / named["tokens"],
                    "std": standard_deviation(whole),
                    "kurtosis": kurtosis(whole),
                    "kurtosis_within": kurtosis_within(steps),
                    **{field: named[field] for field in ("tokens", "clipped", "max_abs", "mean")},
                }
            )
    table = pd.DataFrame(rows, columns=list(UPDATE_COLUMNS))
    return table.astype({name: "int64" for name in ("update", "tokens", "clipped")})


def mixture_table(*, moments: pd.DataFrame) -> pd.DataFrame:
    """How much of each arm's pooled kurtosis is the mixing of updates and of classes of tokens.

    Args:
        moments: From `reports.data.load`.

    Returns:
        `MIXTURE_COLUMNS`, one row an arm, over all steps and seeds: updates of a step; tokens; nis; kurtosis of all
        innovations together; kurtosis_between, what pooling over steps and updates makes of Gaussians of their scales;
        kurtosis_within updates of single steps, and within their classes too; std in the first update, the noise floor,
        and in the last, there also of the tokens that the old policy found unlikely and certain.
    """
    rows = []
    for arm, of_arm in moments.groupby("arm", sort=False):
        updates = _merged(of_arm, ["trial", "step", "update"])
        whole = merge_moments(updates)
        of_first, of_last = (of_arm[of_arm["update"] == of_arm["update"].agg(edge)] for edge in ("min", "max"))
        unlikely, certain = (
            of_last[of_last["pi_old_from"] == CLASS_BOUNDS[place]] for place in (0, len(CLASS_BOUNDS) - 2)
        )
        rows.append(
            {
                "arm": arm,
                "updates": int(of_arm["update"].nunique()),
                "tokens": int(whole[FIELDS.index("tokens")]),
                "nis": whole[FIELDS.index("nis_sum")] / whole[FIELDS.index("tokens")],
                "kurtosis": kurtosis(whole),
                "kurtosis_between": kurtosis_between(updates),
                "kurtosis_within": kurtosis_within(updates),
                "kurtosis_within_classes": kurtosis_within(of_arm[[*FIELDS]].to_numpy(np.float64)),
                "std_first": _std(of_first),
                "std_last": _std(of_last),
                "std_unlikely": _std(unlikely),
                "std_certain": _std(certain),
            }
        )
    return pd.DataFrame(rows, columns=list(MIXTURE_COLUMNS))


def _merged(moments: pd.DataFrame, by: list[str]) -> Floats:
    """Moments of each group, (groups, FIELDS): all groups at once, since there are thousands with a few rows each."""
    groups = moments.groupby(by, sort=False)
    place, group = groups.cumcount().to_numpy(), groups.ngroup().to_numpy()
    parts = np.zeros((place.max() + 1, group.max() + 1, len(FIELDS)))
    parts[place, group] = moments[[*FIELDS]].to_numpy(np.float64)
    return merge_moments(parts)


def _std(moments: pd.DataFrame) -> float:
    return standard_deviation(merge_moments(moments[[*FIELDS]].to_numpy(np.float64)))
