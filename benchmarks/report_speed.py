"""Time and memory of the report of a large study: by default 200 arms x 3 seeds x 560 problems x 16 samples.

    python benchmarks/report_speed.py [--arms 200] [--seeds 3] [--problems 560] [--samples 16] [--keep FOLDER]

Trials and metrics are recorded by the code that records real ones; samples are written as Parquet into the artifacts of
each run, in the columns that it writes, since turning millions of JSON lines into them is no part of a report. The
report runs in a process of its own, so that its peak memory is not that of making the data. Figures, with the baseline
that they are compared with, are in `benchmarks/report_speed.md`.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient

from reports.statistics.tails import EDGES
from sweep.profiles.profile import load_profile
from sweep.store.plan_file import arm_params, plan_as_json
from sweep.store.study_folder import tracking_uri
from sweep.store.study_tracking import StudyTracking
from sweep.study.plan import TrialPlan, plan_trials
from sweep.study.study import Study

BENCHMARKS = (("math500", 500), ("aime24", 30), ("aime25", 30))
SUBJECTS = ("Algebra", "Counting", "Geometry", "Number Theory", "Precalculus")
_TOKENS = 4000


def make_study(*, output: Path, arms: int, seeds: int, problems: int, samples: int, steps: int) -> int:
    """Record a study whose accuracy falls with the gain; returns the number of verdicts."""
    gains = np.geomspace(1e-3, 0.6, arms)
    settings = []
    for number, gain in enumerate(gains):
        kappa, threshold = (1, 3, math.inf)[number % 3], (0.1, 0.3, 1.0, 3.0)[number % 4]
        v = (threshold / (kappa if math.isfinite(kappa) else 3)) ** 2 * (1 - gain)
        settings.append({"name": f"arm{number:03d}", "q": gain**2 / (1 - gain) * v, "v": v, "kappa": kappa})
    settings[0] |= {"name": "kpo-strong", "q": 1e-6, "v": 1, "kappa": math.inf}
    study = Study.model_validate(
        {"name": "large", "space": {"kind": "arms", "arms": settings}, "seeds": seeds, "steps": steps}
    )
    plan = plan_trials(study)
    tracking = StudyTracking(output=output, study="large")
    shared = {"profile": "tiny", "steps": steps, "eval_samples": samples}
    tracking.start_study(name="large", question="How long does a report take?", params={**shared, "seeds": seeds})
    plan_file = output / "plan.json"
    planned = plan_as_json(study=study, plan=plan, profile=load_profile("tiny"), requested_profile="tiny")
    plan_file.write_text(json.dumps(planned, allow_nan=False), encoding="utf-8")
    tracking.log_study_files([plan_file])
    for trial in plan:
        tracking.start_trial(
            key=trial.key, arm=trial.arm.name, seed=trial.seed, params={**arm_params(trial.arm), **shared}
        )
        for step in range(1, steps + 1):
            tracking.log_metrics(key=trial.key, step=step, metrics=_metrics(trial, step))
        tracking.end_trial(key=trial.key, state="finished")
    tracking.end_study(state="finished")

    client = MlflowClient(tracking_uri=tracking_uri(output))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = {run.data.tags.get("iskpo.trial"): run for run in client.search_runs(experiments, max_results=5000)}
    verdicts = 0
    for trial in plan:
        folder = output / "artifacts" / runs[trial.key].info.run_id / "artifacts"
        table = _samples(trial, problems=problems, samples=samples, step=steps)
        verdicts += len(table)
        for name, data in (
            (f"samples/step_{steps:04d}", table),
            ("innovations/histogram", _histogram(trial, steps=steps)),
        ):
            path = folder / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            data.to_parquet(path, index=False)
    return verdicts


def _metrics(trial: TrialPlan, step: int) -> dict[str, float]:
    clipped = 0 if math.isinf(trial.arm.kappa) else int(_TOKENS * 0.02 / trial.arm.kappa)
    return {
        "kalman/gain_mean": trial.arm.predicted_gain,
        "kalman/gain_closed_form": trial.arm.predicted_gain,
        "kalman/clip_fraction": clipped / _TOKENS,
        "kalman/tokens": _TOKENS,
        "innovation/max_abs": 0.4,
        "innovation/max_abs_over_sigma": 9.0,
        "innovation/kurtosis": 30.0 + step,
        "critic/score/mean": 0.5 + 0.01 * step,
        "response_length/mean": 900.0,
        "timing_s/step": 9.0,
    }


def _samples(trial: TrialPlan, *, problems: int, samples: int, step: int) -> pd.DataFrame:
    # Difficulties are the same for every arm and seed, as problems are.
    easy = np.random.default_rng(0).normal(0.0, 2.0, size=problems) - 2.0 * trial.arm.predicted_gain
    draws = np.random.default_rng([trial.seed, int(1e6 * trial.arm.predicted_gain)])
    right = draws.random((problems, samples)) < 1.0 / (1.0 + np.exp(-easy[:, None]))
    whole = sum(size for _, size in BENCHMARKS)
    sizes = [max(2, round(problems * size / whole)) for _, size in BENCHMARKS]
    sizes[0] += problems - sum(sizes)
    of_problem = np.repeat([name for name, _ in BENCHMARKS], sizes)
    number = np.arange(problems)
    return pd.DataFrame(
        {
            "benchmark": np.repeat(of_problem, samples),
            "problem_id": np.repeat([f"p{index:04d}" for index in number], samples),
            "sample": np.tile(np.arange(samples), problems),
            "correct": right.ravel(),
            "answer": np.where(right, "1", draws.integers(2, 9, size=right.shape).astype(str)).ravel(),
            "truncated": draws.random(right.size) < 0.1,
            "subject": np.repeat([SUBJECTS[index % len(SUBJECTS)] for index in number], samples),
            "level": np.repeat([str(1 + index % 5) for index in number], samples),
            "step": step,
        }
    )


def _histogram(trial: TrialPlan, *, steps: int) -> pd.DataFrame:
    tables = []
    for step in range(1, steps + 1):
        values = np.abs(np.random.default_rng([trial.seed, step]).standard_t(3, size=_TOKENS))
        counts = np.histogram(values, bins=EDGES)[0]
        held = np.flatnonzero(counts)
        bounds = {"lower": EDGES[held], "upper": EDGES[held + 1]}
        tables.append(pd.DataFrame({"step": step, **bounds, "tokens": counts[held]}))
    return pd.concat(tables, ignore_index=True)


_REPORT = (
    "import sys; from pathlib import Path; from reports import write_report; write_report(output=Path(sys.argv[1]))"
)


def main() -> None:
    """Make the data, write the report in a process of its own, print seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("arms", 200), ("seeds", 3), ("problems", 560), ("samples", 16), ("steps", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--keep", type=Path, help="make the study here, or report on the one that is here already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        output = arguments.keep or Path(temporary)
        output.mkdir(parents=True, exist_ok=True)
        if not (output / "mlflow.db").is_file():
            sizes = {name: getattr(arguments, name) for name in ("arms", "seeds", "problems", "samples", "steps")}
            start = time.perf_counter()
            verdicts = make_study(output=output, **sizes)
            print(f"{verdicts:,} verdicts recorded in {time.perf_counter() - start:.0f} s")
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", _REPORT, str(output)], check=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        print(f"report: {time.perf_counter() - start:.1f} s, peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
