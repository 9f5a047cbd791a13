"""One row a trial as CSV: what was asked for, what came of it, and which arms no other beats.

For studies whose arms are too many to look at one by one: those that Optuna chose, and replays.
"""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sweep.arms.objectives import DIRECTIONS, arm_objectives, current_name, recorded_objectives, unbeaten
from sweep.store.recorded_runs import recorded_params, recorded_runs
from sweep.store.study_folder import PLAN_FILE

TABLE = "trials.csv"
_METRICS = ("objective/*", "replay/*", "kalman/clip_fraction", "kalman/gain_mean", "eval/*/avg_at_*", "reward/mean")


def objectives_of(output: Path) -> tuple[str, ...]:
    """What Optuna looks for in a study; empty where its arms are planned."""
    if not (output / PLAN_FILE).exists():
        return ()
    plan: dict[str, Any] = json.loads((output / PLAN_FILE).read_text())
    return planned_objectives(plan)


def planned_objectives(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """The same from the contents of plan.json."""
    return tuple(map(current_name, plan.get("adaptive", {}).get("objectives", ())))


def write_arm_table(output: Path) -> Path:
    """Write OUTPUT/trials.csv; returns its path."""
    runs, params, objectives = recorded_runs(output, metrics=_METRICS), recorded_params(output), objectives_of(output)
    best = set(best_arms({run.trial: params[run.run_id]["arm"] for run in runs}, runs, objectives))
    metrics = sorted({name for run in runs for name in run.metrics})
    columns = list(dict.fromkeys(name for run in runs for name in params[run.run_id]))
    path = output / TABLE
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "state", *columns, *metrics, *(["unbeaten"] if objectives else [])])
        for run in runs:
            own = params[run.run_id]
            row = [run.trial, run.state, *(own.get(name, "") for name in columns)]
            row += [run.metrics.get(name, "") for name in metrics]
            writer.writerow(row + ([own["arm"] in best] if objectives else []))
    return path


class _Judged(Protocol):
    @property
    def trial(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def metrics(self) -> dict[str, float]: ...


def best_arms(arms: Mapping[str, str], runs: Sequence[_Judged], objectives: tuple[str, ...]) -> list[str]:
    """Names of the arms that no other beats, of those with all objectives measured in every seed.

    Args:
        arms: Trial to arm.
        runs: Trials as they were recorded, with the metrics ``objective/*``.
        objectives: What was looked for.
    """
    if not objectives:
        return []
    trials: dict[str, list[dict[str, float]]] = defaultdict(list)
    for run in runs:
        if run.state == "finished":
            measured = recorded_objectives(run.metrics)
            trials[arms[run.trial]].append({name: measured.get(name, math.nan) for name in objectives})
    names = list(trials)
    means = [[arm_objectives(trials=trials[name])[objective] for objective in objectives] for name in names]
    found = unbeaten(means, maximise=[DIRECTIONS[objective] == "maximize" for objective in objectives])
    return [name for name, best in zip(names, found, strict=True) if best]
