"""Tables of a study for other tools: CSV, Parquet, a storage that Optuna and its dashboard open, and one of its arms.

The table of arms is for studies whose arms are too many to look at one by one: those that Optuna chose, and replays.
"""

import csv
import math
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sweep.arms.objectives import DIRECTIONS, arm_objectives, current_name, recorded_objectives, unbeaten
from sweep.arms.verl_settings import is_setting
from sweep.input.addresses import check_database_path
from sweep.input.errors import UserError
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.study_folder import read_plan

if TYPE_CHECKING:
    import pandas as pd
    from optuna.trial import FrozenTrial

    from sweep.store.recorded_study import RecordedStudy

FORMATS = ("csv", "parquet", "optuna")
_TABLES = ("trials", "steps", "samples", "traces")
# One row a trial: what was asked for, what came of it, and whether any other arm beats its own.
_ARM_TABLE = "trials.csv"
_METRICS = ("objective/*", "replay/*", "kalman/clip_fraction", "kalman/gain_mean", "eval/*/avg_at_*", "reward/mean")
# Parameters of an arm, in the order in which Optuna's pages show them; the last of these is there only with clipping.
_POSITIVE, _CHOICES = ("q", "v"), ("numerics", "estimator", "gradient", "loss", "advantage")


def export(*, study: "RecordedStudy", format: str, folder: Path) -> list[Path]:
    """Write a study's tables into a new folder.

    Args:
        study: From `sweep.load`.
        format: ``csv`` (trials, steps and samples; log ratios are lists and stay out), ``parquet`` (traces too) or
            ``optuna`` (one SQLite file).
        folder: Must not exist; made whole or not at all.

    Returns:
        The files.

    Raises:
        UserError: The folder exists or cannot be written, or there is nothing to export.
    """
    if format == "optuna":
        check_database_path(folder)
    if folder.exists():
        raise UserError(f"{folder} exists and is not overwritten; choose another with --to")
    if study.trials.empty:
        raise UserError(f"{study.output} has no trial yet, so there is nothing to export")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as temporary:
            made = Path(temporary) / "made"
            made.mkdir()
            names = [path.name for path in _write(study, format, made)]
            shutil.move(made, folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None
    return [folder / name for name in names]


def _write(study: "RecordedStudy", format: str, folder: Path) -> Iterator[Path]:
    if format == "optuna":
        yield write_optuna(study=study, path=folder / "optuna.db")
        return
    for name in _TABLES:
        table: pd.DataFrame = getattr(study, name)
        if table.empty or (format == "csv" and name == "traces"):
            continue
        path = folder / f"{name}.{format}"
        if format == "csv":
            table.to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
        yield path


def write_optuna(*, study: "RecordedStudy", path: Path) -> Path:
    """Write a study's trials into a new Optuna storage, as if Optuna had suggested them.

    The value is the mean over benchmarks of the last avg@k, a share, to be maximized. Rewards of the steps are
    intermediate values. ``kappa`` exists in arms that clip alone (``clips`` says which), since Optuna knows no infinite
    parameter. Trials that failed, or finished without an evaluation, are failed trials.

    Args:
        study: From `sweep.load`.
        path: A SQLite file, which must not exist.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
    made = optuna.create_study(storage=storage, study_name=study.name, direction="maximize")
    made.set_user_attr("question", study.question)
    ended = study.trials[study.trials["state"].isin(["finished", "failed"])]
    made.add_trials([_optuna_trial(dict(row), ended, study.steps) for _, row in ended.iterrows()])
    storage.engine.dispose()
    return path


def accuracy_of(trial: dict[str, Any]) -> float:
    """Mean over benchmarks of a trial's last avg@k; NaN without any."""
    shares = [value for name, value in trial.items() if "/avg_at_" in str(name) and value == value]
    return sum(shares) / len(shares) if shares else math.nan


def _optuna_trial(trial: dict[str, Any], trials: "pd.DataFrame", steps: "pd.DataFrame") -> "FrozenTrial":
    import pandas as pd
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import TrialState, create_trial

    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}

    def add(name: str, value: Any, distribution: BaseDistribution) -> None:
        params[name], distributions[name] = value, distribution

    def floats(name: str) -> FloatDistribution:
        column = pd.to_numeric(trials[name], errors="coerce")
        finite = column[column.map(math.isfinite)]
        low, high = float(finite.min()), float(finite.max())
        return FloatDistribution(low, high, log=low > 0)

    for name in _POSITIVE:
        if _is_finite(trial.get(name)):
            add(name, float(trial[name]), floats(name))
    if _is_number(trial.get("kappa")):
        add("clips", _is_finite(trial["kappa"]), CategoricalDistribution((False, True)))
        if _is_finite(trial["kappa"]):
            add("kappa", float(trial["kappa"]), floats("kappa"))
    for name in _CHOICES:
        if isinstance(trial.get(name), str):
            choices = sorted({value for value in trials[name] if isinstance(value, str)})
            add(name, trial[name], CategoricalDistribution(choices))
    for name in filter(is_setting, map(str, trials)):
        if _is_finite(trial.get(name)):
            add(name, float(trial[name]), floats(name))
        elif isinstance(trial.get(name), str | bool):
            values = sorted({value for value in trials[name] if isinstance(value, str | bool)}, key=str)
            add(name, trial[name], CategoricalDistribution(values))
    add("seed", int(trial["seed"]), CategoricalDistribution(sorted({int(seed) for seed in trials["seed"]})))
    accuracy = accuracy_of(trial)
    complete = trial["state"] == "finished" and math.isfinite(accuracy)
    rewards = steps[steps["trial"] == trial["trial"]] if "reward/mean" in steps else steps[:0]
    return create_trial(
        state=TrialState.COMPLETE if complete else TrialState.FAIL,
        value=accuracy if complete else None,
        params=params,
        distributions=distributions,
        user_attrs={name: trial[name] for name in ("trial", "arm", "reason", "run_id") if isinstance(trial[name], str)},
        intermediate_values={
            int(row["step"]): float(row["reward/mean"])
            for _, row in rewards.iterrows()
            if _is_finite(row["reward/mean"])
        },
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _is_finite(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value)


def objectives_of(output: Path) -> tuple[str, ...]:
    """What Optuna looks for in a study; empty where its arms are planned."""
    return planned_objectives(read_plan(output))


def planned_objectives(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """The same from the contents of plan.json."""
    return tuple(map(current_name, plan.get("adaptive", {}).get("objectives", ())))


def write_arm_table(output: Path) -> Path:
    """Write OUTPUT/trials.csv; returns its path."""
    runs, objectives = recorded_runs(output, metrics=_METRICS, params=True), objectives_of(output)
    best = set(best_arms({run.trial: run.params["arm"] for run in runs}, runs, objectives))
    metrics = sorted({name for run in runs for name in run.metrics})
    columns = list(dict.fromkeys(name for run in runs for name in run.params))
    path = output / _ARM_TABLE
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "state", *columns, *metrics, *(["unbeaten"] if objectives else [])])
        for run in runs:
            row: list[object] = [run.trial, run.state, *(run.params.get(name, "") for name in columns)]
            row += [run.metrics.get(name, "") for name in metrics]
            writer.writerow(row + ([run.params["arm"] in best] if objectives else []))
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
