"""Read traces back from MLflow, with what their trials ran with and what they logged."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from iskpo.replay.traces import Traces, read_traces
from iskpo.settings import CHOICES, FILTER_KEYS, FilterSettings
from sweep.input.errors import UserError, did_you_mean
from sweep.store.artifact_addresses import artifact_folder, follow_move
from sweep.store.study_tracking import tracking_uri

_LOGGED = ("kalman/", "innovation/")


@dataclass(frozen=True)
class RecordedTrial:
    """One trial that left traces.

    Attributes:
        key: The trial's key.
        settings: The filter's that it ran with.
        eps_low: The objective clipped ratios at 1 - eps_low.
        eps_high: And at 1 + eps_high.
        traces: Its log ratios, of all recorded steps.
        logged: Step to the filter's metrics that the trial logged.
    """

    key: str
    settings: FilterSettings
    eps_low: float
    eps_high: float
    traces: Traces
    logged: dict[int, dict[str, float]]


def recorded_trials(*, output: Path, only: list[str]) -> list[RecordedTrial]:
    """Trials of the latest study in a folder that left traces, in the order in which they ran.

    Args:
        output: The study's folder.
        only: Keys of the trials wanted; empty for all.

    Raises:
        UserError: There is no such trial, or none with traces.
    """
    follow_move(output)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(experiments, order_by=["attributes.start_time ASC"], page_token=token)
        runs, token = [*runs, *page], page.token
        if not token:
            break
    parents = [run.info.run_id for run in runs if run.data.tags.get("iskpo.kind") == "study"]
    attempts = {
        run.data.tags["iskpo.trial"]: run
        for run in runs
        if parents and run.data.tags.get("mlflow.parentRunId") == parents[-1] and "iskpo.trial" in run.data.tags
    }
    for key in only:
        if key not in attempts:
            raise UserError(f"{output} has no trial {key!r}{did_you_mean(key, list(attempts))}")
    found = [_trial(client, key, run) for key, run in attempts.items() if key in only or not only]
    trials = [trial for trial in found if trial is not None]
    if not trials:
        raise UserError(
            f"{output} holds no traces to replay: its trials kept none (traces.megabytes in the study), "
            "or none has come to its end"
        )
    return trials


def _trial(client: MlflowClient, key: str, run: Run) -> RecordedTrial | None:
    """None for a trial without filter or traces, or without the configuration that is recorded at its end."""
    identity = run.info.run_id
    if run.data.params.get("loss", "iskpo") != "iskpo":
        return None
    folder = artifact_folder(run)
    files, configuration = sorted((folder / "traces").glob("*.parquet")), folder / "config" / "resolved.yaml"
    if not files or not configuration.is_file():
        return None
    traces = read_traces(files)
    if not traces.tokens:
        return None
    actor: dict[str, Any] = yaml.safe_load(configuration.read_text(encoding="utf-8"))["actor_rollout_ref"]["actor"]
    logged: dict[int, dict[str, float]] = {}
    for name in run.data.metrics:
        if name.startswith(_LOGGED):
            for point in client.get_metric_history(identity, name):
                logged.setdefault(point.step, {})[name] = point.value
    ran_with: dict[str, Any] = {name: run.data.params[name] for name in FILTER_KEYS}
    return RecordedTrial(
        key=key,
        settings=FilterSettings(
            **{name: value if name in CHOICES else float(value) for name, value in ran_with.items()}
        ),
        eps_low=float(actor["clip_ratio_low"]),
        eps_high=float(actor["clip_ratio_high"]),
        traces=traces,
        logged=logged,
    )
