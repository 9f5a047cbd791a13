"""A trial on several GPUs, which the tiny profile's are in name only: two FSDP workers and two vLLM servers.

What the loss reports must be of all tokens, whichever worker filtered them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iskpo.replay.logged_statistics import statistics_of_steps
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.recorded_traces import recorded_trials

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

STUDY = """\
name: two_gpus
profile: tiny
space: {kind: arms, arms: [{name: a, q: 1e-6, v: 1e-2, kappa: 1}, {name: b, q: 1e-2, v: 1}]}
ray: {gpus_per_trial: 2}
steps: 2
eval: {samples: 1}
# As the GPU profiles: vLLM sleeps while the policy trains, and when the second trial begins. On a CPU nothing is freed.
overrides: {actor_rollout_ref.rollout.free_cache_engine: true}
"""


def test_two_workers_report_what_a_replay_of_all_their_tokens_gives(tmp_path: Path) -> None:
    study, output = tmp_path / "study.yaml", tmp_path / "output"
    study.write_text(STUDY)
    done = subprocess.run(
        [sys.executable, "-m", "sweep.cli", "run", str(study), "--output", str(output)],
        env={name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    # One slot of two, warm for the second trial.
    assert done.stdout.count("starting verl and vLLM") == 1
    runs = recorded_runs(output, metrics=("eval/*",))
    assert [(run.state, run.step) for run in runs] == [("finished", 2)] * 2
    assert all("eval/arithmetic/avg_at_1" in run.metrics for run in runs)
    for trial in recorded_trials(output=output, only=[]):
        replayed = statistics_of_steps(trial.traces, settings=trial.settings)
        assert sorted(replayed) == [1, 2]
        for step, metrics in replayed.items():
            assert metrics == {name: trial.logged[step][name] for name in metrics}
        # 12 prompts, 4 samples each, at both steps, from both workers.
        assert len(trial.traces) == 2 * 48
        assert set(trial.traces.columns["rank"].tolist()) == {0, 1}
