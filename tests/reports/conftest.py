"""Studies with made-up numbers, written into a real MLflow store by the code that records real ones."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from iskpo import realised_gain
from iskpo.innovation_moments import CLASSES, moments_as_metrics
from sweep.arms.losses import NEIGHBOURS
from sweep.profiles.profile import load_profile
from sweep.store.plan_file import arm_params, plan_as_json, shared_params
from sweep.store.study_tracking import StudyTracking
from sweep.store.trial_tables import keep_samples
from sweep.study.plan import TrialPlan, plan_trials
from sweep.study.study import Study, load_study


def record_study(
    output: Path,
    *,
    space: dict[str, object] | None = None,
    study_file: Path | None = None,
    name: str = "made_up",
    seeds: int = 1,
    steps: int = 3,
    problems: int | tuple[int, ...] = 40,
    samples: int = 4,
    failed: dict[str, str] | None = None,
    unfinished: tuple[str, ...] = (),
    not_started: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    benchmarks: tuple[str, ...] = ("arithmetic",),
    question: str = "Can innovations be clipped at a low Kalman gain?",
) -> Path:
    """Record a study as a run would, from innovations drawn here (Student t, 3 degrees of freedom, scale 0.04).

    Args:
        output: Folder of the run.
        space: Search space, as in a study file.
        study_file: A study file in place of space, name, seeds, steps and question, with its own profile.
        name: Name of the study.
        seeds: Training seeds.
        steps: Training steps.
        problems: Problems of each benchmark, or one number for all.
        samples: Samples a problem.
        failed: Reason by key of a trial that failed after its first step.
        unfinished: Keys of trials still running.
        not_started: Keys of planned trials without a run.
        without: Prefixes of metrics, or ``samples``, that are not recorded.
        benchmarks: Names of the benchmarks.
        question: The study's question.
    """
    study = (
        load_study(study_file)
        if study_file
        else Study.model_validate(
            {"name": name, "profile": "tiny", "space": space, "seeds": seeds, "steps": steps, "question": question}
        )
    )
    plan, steps = plan_trials(study), study.steps
    output.mkdir(parents=True, exist_ok=True)
    plan_file = output / "plan.json"
    profile = load_profile(study.profile)
    planned = plan_as_json(study=study, plan=plan, profile=profile, requested_profile=study.profile)
    plan_file.write_text(json.dumps(planned, allow_nan=False))
    tracking = StudyTracking(output=output, study=study.name)
    shared = {**shared_params(study, profile), "eval_samples": samples}
    tracking.start_study(name=study.name, question=study.question or "", params={**shared, "seeds": len(study.seeds)})
    kept = [shutil.copyfile(study_file, output / "study.yaml")] if study_file else []
    tracking.log_study_files([plan_file, *kept])
    for trial in plan:
        if trial.key in not_started:
            continue
        tracking.start_trial(key=trial.key, arm=trial.arm.name, seed=trial.seed, params=_params(trial, shared))
        ended = trial.key not in unfinished and trial.key not in (failed or {})
        for step in range(1, (steps if ended else 1) + 1):
            metrics = {
                key: value for key, value in step_metrics(trial, step).items() if not key.startswith(without or ("\0",))
            }
            tracking.log_metrics(key=trial.key, step=step, metrics=metrics)
        if ended and "samples" not in without:
            dump = output / f"{steps}.jsonl"
            dump.write_text(_samples(trial, steps, problems, samples, benchmarks))
            table, metrics = keep_samples(dump, step=steps, k=samples)
            tracking.log_samples(key=trial.key, step=steps, path=table, metrics=metrics)
        if ended:
            tracking.end_trial(key=trial.key, state="finished")
        elif trial.key in (failed or {}):
            tracking.end_trial(key=trial.key, state="failed", reason=(failed or {})[trial.key])
    if not unfinished and not not_started:
        tracking.end_study(state="failed" if failed else "finished")
    return output


def _params(trial: TrialPlan, shared: dict[str, object]) -> dict[str, object]:
    return {**arm_params(trial.arm), **shared}


def step_metrics(trial: TrialPlan, step: int) -> dict[str, float]:
    """What the loss would report of one step."""
    arm = trial.arm
    # Arms share random numbers, as in real runs.
    draws = np.random.default_rng([trial.seed, step])
    innovations = 0.04 * draws.standard_t(3, size=3300)
    lengths = draws.integers(30, 75, size=64).tolist()
    if not arm.has_filter:
        return {
            f"loss/mode/{NEIGHBOURS[arm.loss].loss_mode}": 1.0,
            "actor/pg_clipfrac": 0.01,
            "actor/entropy": 1 / step,
            "actor/ppo_kl": 1e-3 * step,
            "rollout_corr/k3_kl": 1e-6 * step,
            "critic/score/mean": 0.5 + 0.02 * step,
            "response_length/mean": float(np.mean(lengths)),
            "timing_s/step": 9.0,
        }
    gain = realised_gain(lengths=lengths, q=arm.q, v=arm.v)
    sigma = float(np.sqrt(arm.v * (1 + gain)))
    clipped = int((np.abs(innovations) > arm.kappa * sigma).sum())
    centred = innovations - innovations.mean()
    return {
        "kalman/gain_mean": gain * (1 + 1e-9),
        "kalman/gain_closed_form": gain,
        "kalman/gain_steady": arm.predicted_gain,
        "kalman/clip_fraction": clipped / innovations.size,
        "kalman/clipped_tokens": clipped,
        "kalman/tokens": innovations.size,
        "kalman/threshold": arm.kappa * sigma,
        "innovation/max_abs": float(np.abs(innovations).max()),
        "innovation/max_abs_over_sigma": float(np.abs(innovations).max()) / sigma,
        "innovation/kurtosis": float((centred**4).mean() / (centred**2).mean() ** 2),
        "critic/score/mean": 0.5 + 0.02 * step + 0.02 * float(draws.standard_normal()) - 0.3 * gain,
        "response_length/mean": float(np.mean(lengths)),
        "response_length/max": float(max(lengths)),
        "timing_s/step": 9.0,
        **moments_as_metrics({u: _moments(x / sigma, x) for u, x in enumerate(np.split(innovations, 4))}),
        **({"kalman/nonfinite_tokens": 100.0} if arm.numerics != "exact" else {}),
    }


def _moments(ratio: npt.NDArray[np.float64], innovations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Moments of an update's innovations, a quarter in each class of tokens."""
    parts = []
    for e, x in zip(np.array_split(ratio, CLASSES), np.array_split(innovations, CLASSES), strict=True):
        sums = [((x - x.mean()) ** k).sum() for k in (2, 3, 4)]
        parts.append([x.size, 0, (e**2).sum(), np.abs(x).max(), x.mean(), *sums])
    return np.array(parts)


def _samples(
    trial: TrialPlan, step: int, problems: int | tuple[int, ...], samples: int, benchmarks: tuple[str, ...]
) -> str:
    draws = np.random.default_rng([trial.seed, 7])
    lines = []
    amounts = (problems,) * len(benchmarks) if isinstance(problems, int) else problems
    for shift, (benchmark, problems) in enumerate(zip(benchmarks, amounts, strict=True)):
        gain = trial.arm.predicted_gain if trial.arm.has_filter else 0.1
        easiness = draws.beta(1.2, 1.2, size=problems) * (1.0 - 1.2 * gain) / (1 + shift)
        right = draws.random((problems, samples)) < easiness[:, None]
        lines += [
            json.dumps(
                {
                    "input": "1+1=",
                    "output": "2",
                    "gts": "2",
                    "score": float(right[problem, sample]),
                    "step": step,
                    "benchmark": benchmark,
                    "problem_id": f"p{problem:03d}",
                }
            )
            for problem in range(problems)
            for sample in range(samples)
        ]
    return "\n".join(lines) + "\n"


ARMS = {
    "kind": "arms",
    "arms": [
        {"name": "kpo-strong", "q": 1e-6, "v": 1, "kappa": math.inf},
        {"name": "low-gain-clipping", "q": 1e-6, "v": 1e-2, "kappa": 1},
        {"name": "kpo-weak", "q": 1e-2, "v": 1, "kappa": math.inf},
        {"name": "broken", "q": 1e-2, "v": 1e-2, "kappa": 3},
        {"name": "later", "q": 1e-3, "v": 1, "kappa": 2},
    ],
}


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MLflow database with its tables, which take seconds to make; copied instead of made again."""
    output = tmp_path_factory.mktemp("empty")
    StudyTracking(output=output, study="unused")
    return output / "mlflow.db"


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Callable[..., Path]:
    """Record a made-up study in a folder of its own; see `record_study`."""

    def into_new_folder(**settings: Any) -> Path:
        output = tmp_path_factory.mktemp("run")
        shutil.copyfile(empty_store, output / "mlflow.db")
        return record_study(output, **settings)

    return into_new_folder


@pytest.fixture(scope="session")
def one_seed(record: Callable[..., Path]) -> Path:
    """Five arms with one seed: one failed, one has not been started."""
    return record(space=ARMS, failed={"broken_s0": "the loss said q <&> #strong[1] $x$"}, not_started=("later_s0",))


@pytest.fixture(scope="session")
def two_seeds(record: Callable[..., Path]) -> Path:
    """Three arms with two seeds on two benchmarks; one trial of six failed."""
    space = {**ARMS, "arms": ARMS["arms"][:3]}
    return record(space=space, seeds=2, benchmarks=("easy", "hard"), failed={"kpo-weak_s1": "killed"}, problems=12)
