"""A small study in a real MLflow store, written by the project's own tracking from made-up numbers."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from sweep.plan import Arm
from sweep.tracking import StudyTracking

PROBLEMS, SAMPLES, STEPS = 40, 4, 3
ARMS = (
    Arm(name="kpo-strong", q=1e-6, v=1.0),
    Arm(name="low #gain_ $x$", q=1e-6, v=1e-2, kappa=1.0),
    Arm(name="is-kpo-weak", q=1e-2, v=1.0, kappa=3.0),
    Arm(name="broken", q=1e-2, v=1e-2, kappa=1.0),
)


def write_samples(path: Path, *, rate: float, seed: int) -> Path:
    """verl's dump of an evaluation in which each problem has its own difficulty around `rate`."""
    generator = np.random.default_rng(seed)
    difficulty = np.random.default_rng(99).normal(0, 0.3, PROBLEMS)
    lines = []
    for problem in range(PROBLEMS):
        chance = float(np.clip(rate + difficulty[problem], 0, 1))
        for right in generator.random(SAMPLES) < chance:
            entry = {"input": f"{problem}?", "output": "####", "gts": "1", "score": float(right), "step": STEPS}
            lines.append(json.dumps({**entry, "benchmark": "sums", "problem_id": f"p{problem:03d}", "parsed": "yes"}))
    path.write_text("\n".join(lines) + "\n")
    return path


def record_study(output: Path, *, seeds: int = 1, rates: tuple[float, ...] = (0.4, 0.7, 0.42, 0.0)) -> None:
    """Three finished arms and one failed one."""
    output.mkdir(parents=True, exist_ok=True)
    tracking = StudyTracking(output=output, study="made-up")
    params = {"profile": "tiny", "steps": STEPS, "eval_samples": SAMPLES}
    tracking.start_study(name="made-up", question="Does it work?", params=params, files={})
    for seed in range(seeds):
        for number, (arm, rate) in enumerate(zip(ARMS, rates, strict=True)):
            key = f"arm{number}_s{seed}"
            fields = {name: getattr(arm, name) for name in ("q", "v", "kappa", "p0", "rho0", "gradient", "numerics")}
            predicted = {"predicted_gain": arm.predicted_gain, "predicted_threshold": arm.predicted_threshold}
            tracking.start_trial(
                key=key,
                arm=arm.name,
                seed=seed,
                alias="KPO-strong" if number == 0 else "",
                params={**fields, **predicted, **params},
            )
            if arm.name == "broken":
                tracking.end_trial(key=key, state="failed", reason="the loss did not report q <&> #1")
                continue
            clipped = 7.0 if arm.kappa == 1.0 else 0.0
            for step in range(1, STEPS + 1):
                tracking.log_metrics(
                    key=key,
                    step=step,
                    metrics={
                        "critic/score/mean": 0.1 * step + 0.01 * seed,
                        "kalman/tokens": 1000.0 * step,
                        "kalman/clipped_tokens": clipped * step,
                        "kalman/clip_fraction": clipped / 1000,
                        "kalman/gain_mean": arm.predicted_gain / (5 - step),
                        "innovation/max_abs": 0.5 + 0.1 * step,
                        "innovation/kurtosis": 20.0 + step,
                        **({"kalman/threshold": arm.predicted_threshold} if math.isfinite(arm.kappa) else {}),
                    },
                )
            dump = write_samples(output / f"{key}.jsonl", rate=rate, seed=10 * seed + number)
            tracking.log_samples(key=key, step=STEPS, path=dump, k=SAMPLES)
            tracking.end_trial(key=key, state="finished")
    tracking.end_study(state="failed")


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with one seed."""
    output = tmp_path_factory.mktemp("study")
    record_study(output)
    return output
