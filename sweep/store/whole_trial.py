"""Writes a trial that has ended into the study's own store in one transaction, for trials that take milliseconds.

MLflow's client makes a run in three calls and some seven transactions, 38 ms on two cores. A replayed trial has nothing
to say before its end, so it is written at once, through MLflow's own tables (its version is pinned for that): 6 ms, and
there is never half of one.
"""

import math
import time
import uuid
from collections.abc import Mapping
from typing import Any

from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_USER

_LONGEST_PARAM = 6000


def write_whole_trial(
    *,
    store: Any,
    experiment: str,
    artifact_root: str,
    name: str,
    status: str,
    started: float,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    step: int,
) -> str:
    """Write a run with everything in it.

    Args:
        store: MLflow's SQL store.
        experiment: The experiment's id.
        artifact_root: Where the experiment's runs keep artifacts.
        name: The run's name.
        status: MLflow's, such as ``FINISHED``.
        started: When it began, seconds since 1970; it ends now.
        tags: Its tags.
        params: Its parameters.
        metrics: Its metrics; what is not finite is left out.
        step: The step of all of them.

    Returns:
        The run's id.
    """
    run, now = uuid.uuid4().hex, int(1000 * time.time())
    values = [
        {"run_uuid": run, "key": key, "value": value, "timestamp": now, "step": step, "is_nan": False}
        for key, value in metrics.items()
        if math.isfinite(value)
    ]
    all_tags = {**tags, MLFLOW_RUN_NAME: name, MLFLOW_USER: "iskpo-sweep"}
    rows: list[tuple[Any, list[dict[str, Any]]]] = [
        (
            SqlRun,
            [
                {
                    "run_uuid": run,
                    "name": name,
                    "experiment_id": int(experiment),
                    "user_id": "iskpo-sweep",
                    "status": status,
                    "start_time": int(1000 * started),
                    "end_time": now,
                    "lifecycle_stage": "active",
                    "artifact_uri": f"{artifact_root}/{run}/artifacts",
                    "source_type": "UNKNOWN",
                    "source_name": "",
                    "entry_point_name": "",
                    "source_version": "",
                }
            ],
        ),
        (SqlTag, [{"run_uuid": run, "key": key, "value": value[:4900]} for key, value in all_tags.items()]),
        (
            SqlParam,
            [{"run_uuid": run, "key": key, "value": str(value)[:_LONGEST_PARAM]} for key, value in params.items()],
        ),
        (SqlMetric, values),
        (SqlLatestMetric, values),
    ]
    with store.ManagedSessionMaker() as session:
        for table, entries in rows:
            if entries:
                session.execute(table.__table__.insert(), entries)
    return run
