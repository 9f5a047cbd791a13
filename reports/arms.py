"""One row an arm: what was set, what the filter did over the whole run, and how accurate the policy became."""

import numpy as np
import pandas as pd

from reports.accuracy import average_at_k, holm, paired_difference, pass_at_k
from reports.load import StudyRecord

# The default of KPO, and the reference of every comparison where a study has it.
_KPO_STRONG = (1e-6, 1.0, np.inf)


def arm_table(*, study: StudyRecord) -> pd.DataFrame:
    """The arms in planned order.

    Ratios are exact over the run: clipped tokens over tokens, and the gain weighted by tokens; maxima are maxima.
    Columns: number, arm, alias, q, v, kappa, gain, threshold, seeds, failed, reason, realised_gain, gain_low,
    gain_high, clip_fraction, clip_low, clip_high, max_innovation, kurtosis, accuracy, low, high, pass_at_k, problems
    (NaN where there is nothing). ``*_low`` and ``*_high`` of gain and clip fraction are the extremes over training
    steps and seeds.
    """
    rows = []
    for number, (arm, trials) in enumerate(study.trials.groupby("arm", sort=False), start=1):
        first = trials.iloc[0]
        steps = study.steps[study.steps["trial"].isin(trials["trial"])]
        samples = study.samples[study.samples["trial"].isin(trials["trial"])]
        failed = trials[trials["state"] == "failed"]
        rows.append(
            {
                "number": number,
                "arm": str(arm),
                "alias": first["alias"],
                "q": first["q"],
                "v": first["v"],
                "kappa": first["kappa"],
                "gain": first["predicted_gain"],
                "threshold": first["predicted_threshold"],
                "seeds": int((trials["state"] == "finished").sum()),
                "failed": len(failed),
                "reason": failed["reason"].iloc[0] if len(failed) else "",
                **_filter_columns(steps),
                **_accuracy_columns(samples),
            }
        )
    return pd.DataFrame(rows)


def _filter_columns(steps: pd.DataFrame) -> dict[str, float]:
    needed = {
        "kalman/tokens",
        "kalman/clipped_tokens",
        "kalman/gain_mean",
        "kalman/clip_fraction",
        "innovation/max_abs",
    }
    if steps.empty or not needed <= set(steps.columns):
        return {}
    steps = steps.dropna(subset=sorted(needed))
    tokens = steps["kalman/tokens"].sum()
    if tokens == 0:
        return {}
    columns = {
        "realised_gain": float((steps["kalman/gain_mean"] * steps["kalman/tokens"]).sum() / tokens),
        "gain_low": float(steps["kalman/gain_mean"].min()),
        "gain_high": float(steps["kalman/gain_mean"].max()),
        "clip_fraction": float(steps["kalman/clipped_tokens"].sum() / tokens),
        "clip_low": float(steps["kalman/clip_fraction"].min()),
        "clip_high": float(steps["kalman/clip_fraction"].max()),
        "max_innovation": float(steps["innovation/max_abs"].max()),
    }
    if "innovation/kurtosis" in steps:
        columns["kurtosis"] = float(steps["innovation/kurtosis"].median())
    return columns


def _accuracy_columns(samples: pd.DataFrame) -> dict[str, float]:
    if samples.empty or samples["problem_id"].nunique() < 2:
        return {}
    estimate = average_at_k(correct=samples["correct"], problem=samples["problem_id"])
    # Every problem has the same number of samples in each seed; pass@k is over one seed's.
    k = int(samples.groupby(["seed", "problem_id"]).size().min())
    by_seed = samples["seed"].astype(str) + "/" + samples["problem_id"].astype(str)
    return {
        "accuracy": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "pass_at_k": pass_at_k(correct=samples["correct"], problem=by_seed, k=k),
        "problems": estimate.problems,
    }


def reference_arm(*, arms: pd.DataFrame) -> str | None:
    """KPO-strong where the study has it evaluated, else its first evaluated arm; None where there is none."""
    if "accuracy" not in arms:
        return None
    evaluated = arms[arms["accuracy"].notna()]
    if evaluated.empty:
        return None
    strong = evaluated[
        (evaluated["q"] == _KPO_STRONG[0]) & (evaluated["v"] == _KPO_STRONG[1]) & (evaluated["kappa"] == _KPO_STRONG[2])
    ]
    return str((strong if len(strong) else evaluated)["arm"].iloc[0])


def comparison_table(*, study: StudyRecord, arms: pd.DataFrame) -> pd.DataFrame:
    """Every evaluated arm against the reference arm: paired over problems, p-values also after Holm's correction.

    Columns: number, arm, difference, low, high, p, p_holm.
    """
    reference = reference_arm(arms=arms)
    if reference is None:
        return pd.DataFrame()
    base = study.samples[study.samples["arm"] == reference]
    rows = []
    for _, arm in arms[arms["accuracy"].notna() & (arms["arm"] != reference)].iterrows():
        estimate, p = paired_difference(treated=study.samples[study.samples["arm"] == arm["arm"]], reference=base)
        rows.append(
            {
                "number": arm["number"],
                "arm": arm["arm"],
                "difference": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "p": p,
            }
        )
    table = pd.DataFrame(rows)
    if len(table):
        table["p_holm"] = holm(table["p"].tolist())
    return table
