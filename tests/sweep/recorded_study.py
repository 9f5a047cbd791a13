"""A study that left traces, for tests of what replays them: log ratios made up, recorded by the code that records."""

from pathlib import Path

import numpy as np
import torch

from iskpo.replay.traces import SequenceTrace, StepTrace, write_traces
from sweep.store.study_tracking import StudyTracking

EPS_LOW, EPS_HIGH = 0.0003, 0.0004


def record_study(
    output: Path, *, trials: int = 2, steps: int = 2, sequences: int = 8, tokens: int = 40, neighbours: int = 0
) -> Path:
    """Record a study with heavy-tailed log ratios, the last trials' of GRPO; returns its folder."""
    output.mkdir(parents=True, exist_ok=True)
    tracking = StudyTracking(output=output, study="earlier")
    tracking.start_study(name="earlier", question="", params={})
    configuration = output / "resolved.yaml"
    configuration.write_text(
        f"actor_rollout_ref: {{actor: {{clip_ratio_low: {EPS_LOW}, clip_ratio_high: {EPS_HIGH}}}}}\n"
    )
    random = np.random.default_rng(0)
    for number in range(trials):
        key = f"a{number}_s0"
        params = {"q": 1e-6, "v": 1.0, "kappa": 3.0, "p0": 0.0, "rho0": 0.0, "numerics": "exact", "estimator": "clip"}
        of_loss = {"loss": "iskpo", **params} if number < trials - neighbours else {"loss": "grpo"}
        tracking.start_trial(key=key, arm=f"a{number}", seed=0, params=of_loss)
        for step in range(1, steps + 1):
            kept, batch = [], torch.zeros(sequences, tokens)
            for row in range(sequences):
                length = int(random.integers(tokens // 3, tokens + 1))
                z = (0.05 * random.standard_t(3, size=length)).astype(np.float32)
                z[random.random(length) < 0.1] = np.nan
                batch[row, :length] = torch.from_numpy(z).nan_to_num()
                old = -np.abs(z)
                sequence = SequenceTrace(0, 0, 0, row, (sequences, tokens), f"p{row}", 0, 1.0, z, old)
                kept.append((row / sequences, sequence))
            path = output / f"step_{step:04d}.parquet"
            write_traces(path, step=step, trace=StepTrace(kept, sequences))
            tracking.log_traces(key=key, path=path)
            count = sum(np.count_nonzero(~np.isnan(sequence.z)) for _, sequence in kept)
            divergence = -float(batch.sum(dtype=torch.float64)) / count
            tracking.log_metrics(key=key, step=step, metrics={"actor/ppo_kl": divergence})
        tracking.log_file(key=key, path=configuration, folder="config")
        tracking.end_trial(key=key, state="finished")
    tracking.end_study(state="finished")
    return output
