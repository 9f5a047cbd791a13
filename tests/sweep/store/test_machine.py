"""Samples of the machine reach every trial that runs, and cost no more with many of them."""

import threading
import time
from pathlib import Path

import pytest

from sweep.store.mlflow_tables import open_tables
from sweep.store.study_tracking import StudyTracking

_PATIENCE_SECONDS = 60.0


def _samples(output: Path) -> dict[str, list[int]]:
    """Steps of the samples of each trial, by key."""
    query = (
        "SELECT tags.value, metrics.step FROM metrics JOIN tags USING (run_uuid) "
        "WHERE tags.key = 'iskpo.trial' AND metrics.key = 'system/cpu_utilization_percentage' ORDER BY metrics.step"
    )
    found: dict[str, list[int]] = {}
    with open_tables(output) as tables:
        for trial, step in tables.execute(query):
            found.setdefault(trial, []).append(step)
    return found


def _wait_for(output: Path, *, trials: int, samples: int) -> dict[str, list[int]]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = _samples(output)
        if len(found) == trials and min(map(len, found.values())) >= samples:
            return found
        time.sleep(0.1)
    pytest.fail(f"not all of {trials} trials have {samples} samples: {_samples(output)}")


def test_all_trials_that_run_share_one_thread_and_have_samples_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    tracking = StudyTracking(output=tmp_path, study="s")
    tracking.start_study(name="s", question="", params={})
    threads = threading.active_count()
    for number in range(20):  # more than MLflow has connections
        tracking.start_trial(key=f"t{number}", arm="a", seed=number, params={})
    assert threading.active_count() == threads + 1
    _wait_for(tmp_path, trials=20, samples=2)
    for number in range(19):
        tracking.end_trial(key=f"t{number}", state="finished")
    ended = _samples(tmp_path)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len((found := _samples(tmp_path))["t19"]) < len(ended["t19"]) + 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(found["t19"]) >= len(ended["t19"]) + 2
    assert {key: found[key] for key in ended if key != "t19"} == {key: ended[key] for key in ended if key != "t19"}
    assert all(steps == list(range(len(steps))) for steps in found.values())
    # The last has ended, and a trial that begins is sampled from its first sample on.
    tracking.end_trial(key="t19", state="finished")
    tracking.start_trial(key="later", arm="b", seed=0, params={})
    assert _wait_for(tmp_path, trials=21, samples=1)["later"][0] == 0
    tracking.end_study(state="finished")
