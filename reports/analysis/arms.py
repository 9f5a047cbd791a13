"""One row an arm: what was set, what the filter did over the whole run, and how accurate the policy became."""

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from iskpo.settings import CLIPPING, FILTER_KEYS
from reports.data.load import StudyRecord
from reports.statistics.accuracy import arm_accuracies
from reports.statistics.clip_fraction import clip_fraction_interval
from reports.statistics.verdicts import main_benchmark, verdict_counts
from sweep.arms.arm import Arm
from sweep.arms.label import arm_label, clipping_text
from sweep.arms.losses import ISKPO
from sweep.arms.paper import PAPER_ARMS, paper_arm, untried_by_the_paper

# Rows of a table that people read, and lines of a figure that they can tell apart.
MOST_ROWS, MOST_LINES = 40, 12
_OUTSIDE = ("outside_share", "outside_share_low", "outside_share_high")


def arm_table(*, study: StudyRecord, verdicts: pd.DataFrame | None = None) -> pd.DataFrame:
    """The arms in planned order, measured over their finished trials; NaN where there is nothing.

    Ratios are exact over the run: clipped tokens over tokens, the gain weighted by tokens. Maxima are maxima, never
    averages of them. ``*_low`` and ``*_high`` are the extremes over training steps and seeds.

    Args:
        study: From `reports.data.load`.
        verdicts: Its `verdict_counts`, where they have been counted already.

    Returns:
        number (from 1), arm, settings (of verl's, in words), title (the paper's name for its Q, V and kappa, or empty),
        label (what people call it), clipping (its threshold in words), untried (low gain and low threshold, unlike any
        arm of the paper), estimator, loss, q, v, kappa, p0, numerics, gain and threshold (steady state; numbers are NaN
        where the loss has no filter), trials, finished, states (of trials that did not finish, in words), same_as (the
        arm that it is by proof, or empty); realised_gain, clip_fraction and outside_share (tokens outside the
        objective's bounds) with their ``_low`` and ``_high``, clip_interval_low and clip_interval_high (95 %, over
        sequences; NaN where nothing was clipped or it was not recorded), tokens, clipped_tokens, max_innovation,
        max_over_sigma, kurtosis (median) with ``_low`` and ``_high``, response_length (mean tokens), entropy (of the
        policy, nats per token), kl (between the policy that is trained and the one whose log-probabilities are the old
        ones, nats per token) and mismatch (the same between the policy that sampled and the one whose log-probabilities
        are the old ones, verl's estimate k3) with their ``_low`` and ``_high``, gain_error (largest relative distance
        of the measured gain from the closed form, NaN where the gain depends on the data and for the published
        numerics); nonfinite_tokens (NaN or infinite, from the published numerics alone) and nonfinite_share of tokens,
        of all trials, since one that failed may have failed for them; and the columns of `arm_accuracies` for
        `main_benchmark`.
    """
    finished = study.trials.loc[study.trials["state"] == "finished", "trial"]
    steps = study.steps[study.steps["trial"].isin(finished)]
    same, rows = twin_arms(trials=study.trials), []
    for number, (name, trials) in enumerate(study.trials.groupby("arm", sort=False), start=1):
        arm = planned_arm(trial=trials.iloc[0])
        known = paper_arm(arm)
        rows.append(
            {
                "number": number,
                "arm": str(name),
                "settings": arm.settings_text,
                "title": known.title if known and arm.numerics == "exact" else "",
                "label": arm_label(arm),
                "clipping": clipping_text(arm) if arm.has_filter else "",
                "untried": untried_by_the_paper(arm),
                "estimator": arm.estimator,
                "loss": arm.loss,
                "q": arm.q,
                "v": arm.v,
                "kappa": arm.kappa,
                "p0": arm.p0,
                "numerics": arm.numerics,
                "gain": trials["predicted_gain"].iloc[0],
                "threshold": trials["predicted_threshold"].iloc[0],
                "trials": len(trials),
                "finished": int((trials["state"] == "finished").sum()),
                "states": _states(trials),
                "same_as": same.get(str(name), ""),
                **_measured(steps[steps["arm"] == name]),
                # Without bounds no token lies outside, and the loss has nothing to report.
                **(dict.fromkeys(_OUTSIDE, 0.0) if arm.has_filter and arm.settings.get("clip") is False else {}),
                **_nonfinite(study.steps[study.steps["arm"] == name]),
                **({"gain_error": np.nan} if arm.gain_depends_on_data or arm.numerics != "exact" else {}),
            }
        )
    counts = verdict_counts(samples=study.samples) if verdicts is None else verdicts
    main = counts[counts["benchmark"] == main_benchmark(verdicts=counts)]
    return pd.DataFrame(rows).merge(arm_accuracies(verdicts=main), on="arm", how="left")


def twin_arms(*, trials: pd.DataFrame) -> dict[str, str]:
    """Each arm to the one that it is the same as, in all of its trials; arms that were trained are left out.

    Args:
        trials: `reports.data.load.StudyRecord.trials`.
    """
    arm_of_trial = dict(zip(trials["trial"], trials["arm"], strict=True))
    found = {}
    for arm, own in trials[trials["state"] == "finished"].groupby("arm", sort=False):
        originals = {arm_of_trial.get(key, "") for key in own["same_as"]}
        if "" not in originals and len(originals) == 1:
            found[str(arm)] = originals.pop()
    return found


def distinct_arms(*, arms: pd.DataFrame) -> pd.DataFrame:
    """The arms without those that are others by proof, which their originals' rows name.

    Args:
        arms: From `arm_table`.

    Returns:
        Rows of ``arms``, with ``numbers`` (those of the twins too, such as 1–3) and ``row_label`` (``label``, and what
        tells the twins from it).
    """
    rows = arms[arms["same_as"] == ""]
    numbers, labels = [], []
    for _, arm in rows.iterrows():
        twins = arms[arms["same_as"] == arm["arm"]]
        numbers.append(_number_ranges([int(arm["number"]), *map(int, twins["number"])]))
        others = [
            twin["title"] or (twin["clipping"] if twin["clipping"] != arm["clipping"] else twin["label"])
            for _, twin in twins.iterrows()
        ]
        labels.append("; also ".join(filter(None, [arm["label"], ", ".join(others)])))
    return rows.assign(numbers=numbers, row_label=labels)


def _number_ranges(numbers: list[int]) -> str:
    """Numbers in a row, runs of three and more by their ends.

    >>> _number_ranges([7, 9, 1, 2, 3]), _number_ranges([4])
    ('1–3, 7, 9', '4')
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def reference_arm(*, arms: pd.DataFrame) -> str | None:
    """KPO-strong where the study has it evaluated, else the first evaluated arm; None where there is none.

    An arm that is another one by proof has that one in its place.
    """
    evaluated = arms[arms["accuracy"].notna()]
    if evaluated.empty:
        return None
    strong = evaluated[(evaluated["title"] == "KPO-strong") | (evaluated["arm"] == "kpo-strong")]
    chosen = (evaluated if strong.empty else strong).iloc[0]
    return str(chosen["same_as"] or chosen["arm"])


def shown_arms(*, arms: pd.DataFrame, reference: str | None, always: tuple[str, ...] = (), most: int) -> list[str]:
    """Names of at most so many arms, in planned order; all of them where there are no more.

    First come the reference, arms that are named (`always`, the paper's), the one that clipped most, and the one with
    the lowest gain that clipped at all; the rest are the most and the least accurate, in turn.

    Args:
        arms: From `arm_table`.
        reference: The arm that others are compared with.
        always: Arms that sentences speak of.
        most: How many.
    """
    if len(arms) <= most:
        return [str(name) for name in arms["arm"]]
    wanted = [*([reference] if reference else []), *always, *arms.loc[arms["title"] != "", "arm"]]
    clipping = arms[arms["clip_fraction"] > 0]
    if len(clipping):
        by_share = clipping.sort_values("clip_fraction", kind="stable")["arm"]
        wanted += [by_share.iloc[-1], clipping.sort_values("gain", kind="stable")["arm"].iloc[0]]
    ranked = arms.sort_values("accuracy", ascending=False, kind="stable", na_position="last")
    best = ranked["arm"].tolist()
    worst = ranked.loc[ranked["accuracy"].notna(), "arm"].tolist()[::-1]
    for pair in zip(best, worst + best[len(worst) :], strict=True):
        wanted += pair
    chosen = set(list(dict.fromkeys(wanted))[:most])
    return [str(name) for name in arms["arm"] if name in chosen]


def left_out(*, arms: pd.DataFrame, shown: list[str]) -> str:
    """A sentence for captions on what is not shown; empty where everything is."""
    missing = len(arms) - len(shown)
    if not missing:
        return ""
    return (
        f" Shown are {len(shown)} of {len(arms)} arms: the reference, those that have a name or stand out, and the "
        f"most and the least accurate; the {missing} others are in the exported tables (data/)."
    )


def row_of(*, arms: pd.DataFrame, name: str) -> "pd.Series[Any]":
    """The row of an arm, by its name in the study."""
    return arms[arms["arm"] == name].iloc[0]


def number_and_label(*, arms: pd.DataFrame, name: str) -> list[str]:
    """The first two cells of an arm's row in every table."""
    arm = row_of(arms=arms, name=name)
    return [str(arm["number"]), str(arm["label"])]


def as_in_paper(*, arms: pd.DataFrame) -> "pd.Series[bool]":
    """Arms that have the paper's name and no settings of their own: Q, V and kappa alone make no arm of the paper."""
    same: pd.Series[bool] = (arms["title"] != "") & (arms["settings"] == "")
    return same


def can_clip(*, arms: pd.DataFrame) -> "pd.Series[bool]":
    """Arms that clip what exceeds a threshold; the other estimators limit outliers without clipping them."""
    clips: pd.Series[bool] = arms["estimator"].isin(CLIPPING) & (arms["kappa"].abs() < np.inf)
    return clips


def paper_clipping_gain() -> float:
    """The lowest steady-state gain among the paper's arms that clip: what "low gain" is measured against."""
    clipping = [arm for arm in PAPER_ARMS if math.isfinite(arm.kappa)]
    return min(Arm(name=arm.name, q=arm.q, v=arm.v, kappa=arm.kappa).predicted_gain for arm in clipping)


def planned_arm(*, trial: "pd.Series[Any]") -> Arm:
    """The arm that a trial belongs to."""
    loss = str(trial["loss"])
    common: dict[str, Any] = {
        "name": str(trial["arm"]),
        "loss": loss,
        "advantage": str(trial["advantage"]) or None,
        "dynamic_sampling": bool(trial["dynamic_sampling"]),
        "settings": json.loads(trial["settings"]),
    }
    if loss == ISKPO:
        return Arm(**common, **{name: trial[name] for name in FILTER_KEYS})
    for name in ("clip_low", "clip_high"):
        common[name] = float(trial[name]) if math.isfinite(trial[name]) else None
    return Arm(**common)


def _states(trials: pd.DataFrame) -> str:
    counts = trials.loc[trials["state"] != "finished", "state"].value_counts(sort=False)
    return ", ".join(str(state) if len(trials) == 1 else f"{count} {state}" for state, count in counts.items())


def _column(steps: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    """A metric of every step, NaN where it was not recorded."""
    if name not in steps:
        return np.full(len(steps), np.nan)
    return steps[name].to_numpy(dtype=np.float64)


def _weighted(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    there = np.isfinite(values)
    return float(np.average(values[there], weights=weights[there])) if there.any() and weights[there].sum() else np.nan


def _largest(values: npt.NDArray[np.float64]) -> float:
    there = values[np.isfinite(values)]
    return float(there.max()) if there.size else np.nan


def _extremes(name: str, values: npt.NDArray[np.float64]) -> dict[str, float]:
    """The columns ``name_low`` and ``name_high``."""
    return {f"{name}_low": -_largest(-values), f"{name}_high": _largest(values)}


def _measured(steps: pd.DataFrame) -> dict[str, float]:
    tokens = _column(steps, "kalman/tokens")
    # Without token counts every step counts alike.
    weights = np.where(np.isfinite(tokens), tokens, 1.0)
    gain, clipping = _column(steps, "kalman/gain_mean"), _column(steps, "kalman/clip_fraction")
    outside = _column(steps, "kalman/outside_share")
    kurtosis, formula = _column(steps, "innovation/kurtosis"), _column(steps, "kalman/gain_closed_form")
    finite = kurtosis[np.isfinite(kurtosis)]
    clip_low, clip_high = clip_fraction_interval(
        fractions=clipping, tokens=tokens, errors=_column(steps, "kalman/clip_fraction_error")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.abs(gain / formula - 1.0)
    return {
        "realised_gain": _weighted(gain, weights),
        **_extremes("realised_gain", gain),
        "clip_fraction": _weighted(clipping, weights),
        **_extremes("clip_fraction", clipping),
        "clip_interval_low": clip_low,
        "clip_interval_high": clip_high,
        "outside_share": _weighted(outside, weights),
        **_extremes("outside_share", outside),
        "tokens": float(np.nansum(tokens)) if np.isfinite(tokens).any() else np.nan,
        "clipped_tokens": float(np.nansum(clipping * tokens)) if np.isfinite(clipping * tokens).any() else np.nan,
        "max_innovation": _largest(_column(steps, "innovation/max_abs")),
        "max_over_sigma": _largest(_column(steps, "innovation/max_abs_over_sigma")),
        "kurtosis": float(np.median(finite)) if finite.size else np.nan,
        **_extremes("kurtosis", kurtosis),
        "response_length": _weighted(_column(steps, "response_length/mean"), weights),
        **_policies(steps, weights),
        "gain_error": _largest(error),
    }


def _policies(steps: pd.DataFrame, weights: npt.NDArray[np.float64]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, metric in (("entropy", "actor/entropy"), ("kl", "actor/ppo_kl"), ("mismatch", "rollout_corr/k3_kl")):
        values = _column(steps, metric)
        found |= {name: _weighted(values, weights), **_extremes(name, values)}
    return found


def _nonfinite(steps: pd.DataFrame) -> dict[str, float]:
    found, tokens = (float(np.nansum(_column(steps, f"kalman/{name}"))) for name in ("nonfinite_tokens", "tokens"))
    return {"nonfinite_tokens": found, "nonfinite_share": found / tokens if tokens else np.nan}
