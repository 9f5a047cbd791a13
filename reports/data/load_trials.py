"""The table of trials: what MLflow's runs and the plan say of each."""

import json
import math
from typing import Any

import pandas as pd
from mlflow.entities import Run

from sweep.store.artifact_addresses import artifact_folder

_NUMBERS = ("q", "v", "kappa", "p0", "rho0", "predicted_gain", "predicted_threshold")
TRIAL_COLUMNS = (
    "trial",
    "arm",
    "seed",
    "q",
    "v",
    "kappa",
    "p0",
    "rho0",
    "gradient",
    "numerics",
    "estimator",
    "loss",
    "advantage",
    "dynamic_sampling",
    "clip_low",
    "clip_high",
    "predicted_gain",
    "predicted_threshold",
    "state",
    "reason",
    "minutes",
    "ended",
)


def planned_trials(*, parent: Run) -> list[dict[str, Any]]:
    """The planned trials, from the parent's artifact; empty where a store has none."""
    plan = artifact_folder(parent) / "study" / "plan.json"
    return list(json.loads(plan.read_text(encoding="utf-8"))["trials"]) if plan.is_file() else []


def trial_table(*, runs: dict[str, Run], plan: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a trial with `TRIAL_COLUMNS`, planned ones first and in planned order; runs by trial."""
    rows = {key: _trial(run) for key, run in runs.items()}
    planned = {entry["key"]: rows.get(entry["key"]) or _not_started(entry) for entry in plan}
    return pd.DataFrame([*({**planned, **rows}).values()], columns=list(TRIAL_COLUMNS))


def _trial(run: Run) -> dict[str, Any]:
    params, tags = run.data.params, run.data.tags
    ended = run.info.end_time
    return {
        "trial": tags["iskpo.trial"],
        "arm": params["arm"],
        "seed": int(params["seed"]),
        **{name: _number(params.get(name)) for name in (*_NUMBERS, "clip_low", "clip_high")},
        # What a loss has no choice of stands at what it usually is; so do runs from before there was a choice.
        "gradient": params.get("gradient", "straight_through"),
        "numerics": params.get("numerics", "exact"),
        "estimator": params.get("estimator", "clip"),
        "loss": params.get("loss", "iskpo"),
        "advantage": params.get("advantage", ""),
        "dynamic_sampling": params.get("dynamic_sampling") == "True",
        "state": tags.get("iskpo.state", "unknown"),
        "reason": tags.get("iskpo.reason", ""),
        # Of the last attempt: the run's own start is the first one's.
        "minutes": (ended - int(tags.get("iskpo.restarted", run.info.start_time))) / 60_000 if ended else math.nan,
        "ended": pd.Timestamp(ended, unit="ms") if ended else pd.NaT,
    }


def _number(text: str | None) -> float:
    """A parameter; NaN where the trial's loss has none of this name."""
    return math.nan if text is None or text == "none" else float(text)


def _not_started(entry: dict[str, Any]) -> dict[str, Any]:
    """A trial as `plan_as_json` wrote it, with null for infinity, or for what its loss has not."""
    missing = math.inf if entry.get("loss", "iskpo") == "iskpo" else math.nan
    number = {name: missing if entry[name] is None else float(entry[name]) for name in _NUMBERS}
    bounds = entry.get("clip_bounds") or (math.nan, math.nan)
    return {
        **{name: entry[name] for name in ("arm", "seed", "gradient", "numerics")},
        "estimator": entry.get("estimator", "clip"),
        "loss": entry.get("loss", "iskpo"),
        "advantage": entry.get("advantage") or "",
        "dynamic_sampling": bool(entry.get("dynamic_sampling", False)),
        "clip_low": bounds[0],
        "clip_high": bounds[1],
        **number,
        "trial": entry["key"],
        "state": "not started",
        "reason": "",
        "minutes": math.nan,
        "ended": pd.NaT,
    }
