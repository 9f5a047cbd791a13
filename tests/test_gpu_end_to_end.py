"""A study on a GPU: verl and vLLM on CUDA, the model taught there, log ratios filtered by Triton's kernels.

Without a GPU, or with a vLLM that is built for CPUs, there is nothing to run: skipped, with the reason.
"""

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from iskpo.replay.logged_statistics import statistics_of_steps
from sweep.profiles.profile import load_profile, vllm_build
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.recorded_traces import recorded_trials

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.slow,
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(vllm_build() != "cuda", reason="vLLM here is not built for CUDA"),
]

ROOT = Path(__file__).resolve().parents[1]
METRICS = ("kalman/*", "innovation/*", "reward/*", "eval/*", "actor/*")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("gpu") / "output"
    # Not pytest's: the path of a Unix socket in it would be too long.
    with tempfile.TemporaryDirectory(prefix="gpu-") as temporary:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "sweep.cli",
                "run",
                str(ROOT / "studies" / "smoke.yaml"),
                "--output",
                str(output),
            ],
            env={**os.environ, "TMPDIR": temporary},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=900,
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.startswith("Profile small-gpu (auto; vLLM here is built for CUDA)")
    # One slot, warm for the second trial.
    assert done.stdout.count("starting verl and vLLM") == 1
    return output


def test_trials_finish_with_long_responses_and_the_gain_of_the_closed_form(finished: Path) -> None:
    runs = {run.trial: run for run in recorded_runs(finished, metrics=METRICS)}
    assert [run.state for run in runs.values()] == ["finished"] * 2
    for run in runs.values():
        assert run.metrics["kalman/gain_mean"] == pytest.approx(run.metrics["kalman/gain_closed_form"], rel=1e-6)
        assert run.metrics["actor/grad_norm"] > 0
        assert all(math.isfinite(value) for value in run.metrics.values())
    clipped = {trial: run.metrics["kalman/clip_fraction"] for trial, run in runs.items()}
    assert clipped["kpo-strong_s0"] == 0 < clipped["low-gain-clipping_s0"]


def test_replaying_on_a_cpu_gives_what_the_gpu_logged_to_the_rounding_of_float32(finished: Path) -> None:
    verl = load_profile("small-gpu").verl
    for trial in recorded_trials(output=finished, only=[]):
        replayed = statistics_of_steps(trial.traces, settings=trial.settings)
        assert sorted(replayed) == [1, 2]
        assert len(trial.traces) == 2 * verl["data.train_batch_size"] * verl["actor_rollout_ref.rollout.n"]
        for step, metrics in replayed.items():
            for name, value in metrics.items():
                assert trial.logged[step][name] == pytest.approx(value, rel=1e-4, abs=1e-9), (step, name)
