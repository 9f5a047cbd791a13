"""Runs that verl made without us, with our loss and verl's own MLflow logger, taken into a folder like a study's.

What the loss echoes of itself (`iskpo.verl.recorder`) says which arm a run was; nothing is guessed from its name. What
only our own engine keeps is not there, and the study's question says so, in MLflow and on the report: samples of
evaluations, without which there is no accuracy with an interval, and log ratios, without which there is no replay.
"""

import contextlib
import json
import logging
import math
import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from iskpo.settings import CHOICES, FilterSettings, echoed_settings
from sweep.arms.arm import Arm
from sweep.arms.verl_settings import value_text
from sweep.input.addresses import without_credentials
from sweep.input.errors import UserError, did_you_mean, in_shell
from sweep.store.mlflow_tables import copy_tables
from sweep.store.study_folder import DATABASE, PLAN_FILE, read_plan
from sweep.store.study_store import is_database
from sweep.study.plan import TrialPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# MLflow's databases keep an infinite number as the largest finite one.
_INFINITE = 1e300
_PROFILE = "imported"
_SERVERS = ("http", "https", "databricks")
_LOSS = "actor_rollout_ref/actor/policy_loss/"
MISSING = (
    "Imported from runs that iskpo-sweep did not make. Not recorded there, and so not in this report: samples of "
    "evaluations (accuracy, its intervals and tests), log ratios (replay), histograms of innovations."
)


@dataclass(frozen=True)
class Found:
    """What a store holds.

    Attributes:
        trials: Trial to the run it is made from, in the order in which the runs started.
        skipped: Name of a run that is not taken to why not.
    """

    trials: "dict[TrialPlan, Run]"
    skipped: dict[str, str]


def refuse_imported(output: Path) -> None:
    """Raise if a folder's runs were imported.

    Raises:
        UserError: They were: there is nothing to go on with.
    """
    if read_plan(output).get("profile") == _PROFILE:
        raise UserError(
            f"{output} holds imported runs, which another program trained and iskpo-sweep cannot go on with; "
            f"report them: iskpo-sweep report {in_shell(output)}; or run further arms as a study of "
            "your own: iskpo-sweep init"
        )


@contextlib.contextmanager
def foreign_store(store: str) -> "Iterator[MlflowClient]":
    """Open the store of another program, which is only read.

    Args:
        store: The path of a SQLite file, or a tracking address.

    Raises:
        UserError: It is neither, or cannot be read as it is.
    """
    scheme, separator, rest = store.partition("://")
    if separator and scheme in _SERVERS:
        # By default MLflow tries for minutes to reach a server that is not there.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # It warns of each further try.
        yield _client(store)
        return
    if separator and scheme not in ("file", "sqlite"):
        raise UserError(
            f"{without_credentials(store)} is not read directly; start `mlflow server --backend-store-uri` with it and "
            "give that server's address"
        )
    path = Path(unquote(rest.removeprefix("/") if scheme == "sqlite" else rest) if separator else store)
    if path.is_dir() and (path / DATABASE).is_file():
        path = path / DATABASE
    if any(next(runs.glob("*/meta.yaml"), None) for runs in (path, path / "mlruns")):
        raise UserError(
            f"{path} holds runs as files, which MLflow itself no longer reads; make a SQLite file of them with "
            f"`mlflow migrate-filestore --source {shlex.quote(str(path))} --target sqlite:///mlruns.db` and import that"
        )
    if not path.is_file() or not is_database(path):
        raise UserError(
            f"{without_credentials(store)} is no SQLite file of MLflow; give one, or an address such as http://HOST:PORT"
        )
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / DATABASE
        copy_tables(path, copy)
        client = _client(f"sqlite:///{copy}")
        try:
            yield client
        finally:
            client._tracking_client.store.engine.dispose()


def _client(address: str) -> "MlflowClient":
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=address)


@contextlib.contextmanager
def _failures_in_a_line() -> "Iterator[None]":
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise UserError(f"the store cannot be read: {without_credentials(str(error)).splitlines()[0]}") from None


def find_runs(*, client: "MlflowClient", experiment: str | None) -> Found:
    """Runs of an experiment in which our loss was at work.

    Raises:
        UserError: There is no such experiment, several and none was named, or none of its runs is of our loss.
    """
    with _failures_in_a_line():
        known = {one.name: one.experiment_id for one in client.search_experiments()}
        if experiment is None:
            known = {name: one for name, one in known.items() if client.search_runs([one], max_results=1)}
            if len(known) != 1:
                raise UserError(f"name one with --experiment: {', '.join(sorted(known)) or 'the store has no run'}")
            (experiment,) = known
        if experiment not in known:
            raise UserError(f"the store has no experiment {experiment!r}{did_you_mean(experiment, list(known))}")
        runs = _all_runs(client, known[experiment])
    trials: dict[TrialPlan, Run] = {}
    skipped: dict[str, str] = {}
    for run in runs:
        name = run.info.run_name or run.info.run_id
        if "kalman/q" not in run.data.metrics:
            skipped[name] = "no metric kalman/q: the IS-KPO loss did not report"
            continue
        trial = _trial(run, [known_trial.key for known_trial in trials])
        trials[trial] = run
    if not trials:
        why = "; ".join(f"{name}: {text}" for name, text in skipped.items()) or "it has no run"
        raise UserError(f"nothing to import from experiment {experiment!r} ({why})")
    return Found(trials=trials, skipped=skipped)


def _all_runs(client: "MlflowClient", experiment: str) -> "list[Run]":
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment], order_by=["attributes.start_time ASC"], page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def arm_of(*, metrics: dict[str, float], params: dict[str, str]) -> Arm:
    """The arm that a run's loss says it ran with.

    Args:
        metrics: The run's last values; the loss's echo is among them.
        params: verl's configuration as verl logs it, flattened with slashes; for what the loss does not echo.

    Raises:
        UserError: The echo is incomplete or not that of one filter.
    """
    echoed = echoed_settings(metrics)
    if missing := [name for name in ("q", "v", "p0") if not echoed[name]]:
        raise UserError(f"the loss did not report {', '.join(missing)}")
    if several := [name for name, values in echoed.items() if len(values) > 1]:
        raise UserError(f"the loss reported several of {', '.join(several)}")
    given: dict[str, Any] = {name: values[0] for name, values in echoed.items() if values}
    if given.get("kappa", 0.0) > _INFINITE:
        given["kappa"] = math.inf
    # Older versions of the loss did not report these two.
    if (rho0 := _number(params.get(f"{_LOSS}rho0"))) is not None:
        given.setdefault("rho0", rho0)
    if (gradient := params.get(f"{_LOSS}gradient")) in CHOICES["gradient"]:
        given.setdefault("gradient", gradient)
    settings = FilterSettings(**given)
    special: list[str] = [settings.estimator] if settings.estimator != "clip" else []
    special += [settings.numerics] if settings.numerics != "exact" else []
    special += [f"P{value_text(settings.p0)}"] if settings.p0 else []
    special += [f"rho{value_text(settings.rho0)}"] if settings.rho0 else []
    special += [settings.gradient] if settings.gradient != "straight_through" else []
    numbers = f"Q{value_text(settings.q)}_V{value_text(settings.v)}_k{value_text(settings.kappa)}"
    return Arm(name="_".join([numbers, *special]), **given)


def _trial(run: "Run", taken: list[str]) -> TrialPlan:
    try:
        arm = arm_of(metrics=run.data.metrics, params=run.data.params)
    except (UserError, ValueError) as error:
        raise UserError(f"run {run.info.run_name}: {error}") from None
    seed = int(_number(run.data.params.get("data/seed")) or 0)
    # Runs of one arm with the same seed, or with none logged, are repetitions and get the next free number.
    while f"{arm.name}_s{seed}" in taken:
        seed += 1
    return TrialPlan(key=f"{arm.name}_s{seed}", arm=arm, seed=seed)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def record(*, client: "MlflowClient", found: Found, name: str, output: Path) -> None:
    """Write the runs into a new folder, as a study that has ended.

    Args:
        client: Of the store they are in.
        found: From `find_runs`.
        name: The study's name.
        output: An empty folder.
    """
    from sweep.profiles.profile import load_profile
    from sweep.store.plan_file import arm_params, plan_as_json
    from sweep.store.study_tracking import StudyTracking
    from sweep.study.study import Study

    with _failures_in_a_line():
        histories = {trial.key: _history(client, run) for trial, run in found.trials.items()}
    steps = max((max(history, default=1) for history in histories.values()), default=1)
    first = next(iter(found.trials)).arm
    study = Study(
        name=name,
        question=MISSING,
        space={"kind": "grid", "q": [first.q], "v": [first.v], "kappa": [first.kappa]},  # type: ignore[arg-type]
        steps=max(1, steps),
    )
    planned = plan_as_json(
        study=study, plan=list(found.trials), profile=load_profile("tiny"), requested_profile="auto"
    ) | {"profile": _PROFILE, "profile_choice": _PROFILE, "eval_samples": None}
    (output / PLAN_FILE).write_text(json.dumps(planned, indent=1, allow_nan=False), encoding="utf-8")
    tracking = StudyTracking(output=output, study=name)
    seeds = len({trial.seed for trial in found.trials})
    tracking.start_study(name=name, question=MISSING, params={"profile": _PROFILE, "steps": steps, "seeds": seeds})
    tracking.log_study_files([output / PLAN_FILE])
    for trial, run in found.trials.items():
        origin = {"imported_run": run.info.run_id, "profile": _PROFILE, "steps": steps, "study": name}
        if model := run.data.params.get("actor_rollout_ref/model/path"):
            origin["model"] = model
        tracking.start_trial(
            key=trial.key,
            arm=trial.arm.name,
            seed=trial.seed,
            params={**arm_params(trial.arm), **origin},
            numerics=trial.arm.numerics,
        )
        for step, metrics in sorted(histories[trial.key].items()):
            tracking.log_metrics(key=trial.key, step=step, metrics=metrics)
        finished = run.info.status == "FINISHED"
        with tempfile.TemporaryDirectory() as folder:
            note = Path(folder) / "imported.json"
            note.write_text(
                json.dumps({"run_id": run.info.run_id, "params": run.data.params}, indent=1), encoding="utf-8"
            )
            tracking.log_file(key=trial.key, path=note, folder="config")
        reason = "" if finished else f"the imported run ended as {run.info.status}"
        tracking.end_trial(key=trial.key, state="finished" if finished else "failed", reason=reason)
    tracking.end_study(state="finished")


def _history(client: "MlflowClient", run: "Run") -> dict[int, dict[str, float]]:
    rows: dict[int, dict[str, float]] = {}
    for name in run.data.metrics:
        for point in client.get_metric_history(run.info.run_id, name):
            if abs(point.value) < _INFINITE:
                rows.setdefault(point.step, {})[name] = point.value
    return rows
