"""Two slots side by side, trials that fall behind and are ended, warm trials that equal cold ones: one real study.

The first two arms differ in a threshold that nothing reaches, and start cold in a slot each. Two of a high gain follow;
since others have got as far by then, each is ended after its first step, whichever slot is faster. So the last arm,
which is the first two's again, comes after an ended one in its slot.
"""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from sweep.store.mlflow_tables import recorded_runs
from sweep.store.study_folder import tracking_uri

pytestmark = pytest.mark.end_to_end

STEPS = 2
STUDY = f"""\
name: slots
question: Is a warm slot’s κ → ∞ the cold one’s?
profile: tiny
slots: 2
steps: {STEPS}
twins: train
eval: {{samples: 1}}
early_stopping: {{method: median, metric: realised_gain, after: 1, others: 1}}
space:
  kind: arms
  arms:
    - {{name: cold, q: 1.0e-4, v: 1, kappa: .inf}}
    - {{name: beside, q: 1.0e-4, v: 1, kappa: 100}}
    - {{name: behind, q: 0.1, v: 1, kappa: .inf}}
    - {{name: far-behind, q: 0.2, v: 1, kappa: .inf}}
    - {{name: warm, q: 1.0e-4, v: 1, kappa: 1000}}
"""
_OF_THE_RUN = ("timing_s/", "actor/perf/", "system/", "kalman/kappa", "kalman/threshold", "rollout_corr/", "untrained/")
ALIKE = ("cold_s0", "beside_s0", "warm_s0")


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The study's folder, and what its command printed; no process of it has a locale with more than ASCII."""
    folder = tmp_path_factory.mktemp("naïve κ")
    study, output = folder / "étude.yaml", folder / "output"
    study.write_text(STUDY, encoding="utf-8")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("iskpo-sweep")), "run", str(study), "--output", str(output)],
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return output, done.stdout


def test_two_slots_train_side_by_side(printed: tuple[Path, str]) -> None:
    output, lines = printed
    assert lines.count("starting verl and vLLM") == 2
    assert lines.count("given to a slot") == 5
    # Each began before the other had ended.
    began, ended = _times(output)
    assert max(began["cold_s0"], began["beside_s0"]) < min(ended["cold_s0"], ended["beside_s0"])


def test_what_falls_behind_is_ended_and_its_slot_goes_on(printed: tuple[Path, str]) -> None:
    output, lines = printed
    assert {run.trial: (run.state, run.step, run.attempts) for run in recorded_runs(output)} == {
        **dict.fromkeys(ALIKE, ("finished", STEPS, 1)),
        "behind_s0": ("stopped early", 1, 1),
        "far-behind_s0": ("stopped early", 1, 1),
    }
    assert lines.count("ended after step 1, since it fell behind") == 2
    began, ended = _times(output)
    # At least one of the two that were ended was in the slot that the last trial had.
    assert min(ended["behind_s0"], ended["far-behind_s0"]) <= began["warm_s0"]


def test_a_warm_trial_is_the_trial_that_a_cold_slot_would_have_run(printed: tuple[Path, str]) -> None:
    output, _ = printed
    client = MlflowClient(tracking_uri=tracking_uri(output))
    runs = {run.trial: run.run_id for run in recorded_runs(output)}
    cold, *others = (_recorded(client, runs[key]) for key in ALIKE)
    assert len(cold) > 30
    for other in others:
        assert other.keys() == cold.keys()
        assert {name for name in cold if other[name] != cold[name]} == set()
    cold_files, *other_files = (_files(client, runs[key]) for key in ALIKE)
    for files in other_files:
        assert len(files) == 1 + STEPS
        for file, table in zip(files, cold_files, strict=True):
            pd.testing.assert_frame_equal(file, table, check_exact=True)


def _times(output: Path) -> tuple[dict[str, int], dict[str, int]]:
    """When each trial began and ended, in milliseconds."""
    client = MlflowClient(tracking_uri=tracking_uri(output))
    infos = {run.trial: client.get_run(run.run_id).info for run in recorded_runs(output)}
    return {key: info.start_time for key, info in infos.items()}, {key: info.end_time for key, info in infos.items()}


def _recorded(client: MlflowClient, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Every metric with its steps, but for times, the machine's load, kappa itself, and vLLM's own log probabilities.

    Those are only logged; their last bits depend on what else is in a batch, and so on the order of arrival.
    """
    names = client.get_run(run_id).data.metrics
    return {
        name: [(point.step, point.value) for point in client.get_metric_history(run_id, name)]
        for name in names
        if not name.startswith(_OF_THE_RUN)
    }


def _files(client: MlflowClient, run_id: str) -> list[pd.DataFrame]:
    """Every answer of the evaluation, and every log ratio of each step, in an order that is none of arrival's."""
    names = [f"samples/step_{STEPS:04d}", *(f"traces/step_{step:04d}" for step in range(1, STEPS + 1))]
    tables = [pd.read_parquet(client.download_artifacts(run_id, f"{name}.parquet")) for name in names]
    return [
        table.sort_values([name for name in ("update", "problem_id", "sample") if name in table], ignore_index=True)
        for table in tables
    ]
