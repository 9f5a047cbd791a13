"""Trials an hour of a study, against one fresh process of `verl.trainer.main_ppo` a trial.

Both run the same trials (the study's first ones, with the same settings of verl, the same loss and the same
evaluation) on this machine. A fresh process starts Ray, verl and vLLM for its one trial; a study starts them once.
Of the study, start-up is part of the time. Beside it stand the floor, what a warm trial's steps and evaluation take by
verl's own clock, with no start-up, reset or recording at all, and how many trials were recorded as another's twin.

    python benchmarks/trials_per_hour.py --study studies/qv_kappa.yaml --fresh 2

An hour's arithmetic on figures of one run; on a busy machine they say little.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from sweep.engine.settings import session_overrides, trial_overrides
from sweep.profiles.profile import Profile, resolve_profile
from sweep.study.plan import TrialPlan, plan_trials
from sweep.study.study import Study, load_study
from sweep.tasks import prepare_task

_NOT_INHERITED = ("PYTHONDONTWRITEBYTECODE", "CUDA_VISIBLE_DEVICES", "RAY_ADDRESS")


def _text(value: Any) -> str:
    """A value as Hydra's command line reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(_text(entry) for entry in value) + "]"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _fresh_command(*, study: Study, profile: Profile, trial: TrialPlan, folder: Path) -> list[str]:
    task = prepare_task(name=profile.task, model=profile.model, recipe=profile.recipe, quiet=True)
    settings = {
        **session_overrides(study=study, profile=profile, task=task),
        **trial_overrides(trial=trial, folder=folder),
        "trainer.logger": ["console"],
        "ray_kwargs.ray_init.num_cpus": profile.ray.logical_cpus,
    }
    if profile.device == "cpu":
        settings["ray_kwargs.ray_init.num_gpus"] = profile.ray.slot_gpus
    overrides = [f"++{name.removeprefix('+')}={_text(value)}" for name, value in settings.items()]
    return [sys.executable, "-m", "verl.trainer.main_ppo", *overrides]


def _fresh_seconds(*, study: Study, profile: Profile, trial: TrialPlan, folder: Path) -> float:
    """Wall time of one trial in a process of its own, from its start to its end."""
    folder.mkdir(parents=True)
    command = _fresh_command(study=study, profile=profile, trial=trial, folder=folder)
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    began = time.monotonic()
    with (folder / "log").open("w", encoding="utf-8") as log:
        code = subprocess.run(
            command, env={**environment, **profile.environment}, stdout=log, stderr=subprocess.STDOUT, check=False
        ).returncode
    seconds = time.monotonic() - began
    evaluations = list((folder / "evaluations").glob("*.jsonl"))
    if code or not evaluations:
        raise SystemExit(f"the fresh trial failed:\n{(folder / 'log').read_text(encoding='utf-8')[-3000:]}")
    return seconds


def _study_seconds(*, study_file: Path, output: Path) -> float:
    """Wall time of `iskpo-sweep run`, its report included."""
    began = time.monotonic()
    program = Path(sys.executable).with_name("iskpo-sweep")
    subprocess.run(
        [str(program), "run", str(study_file), "--output", str(output), "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def _trials(output: Path) -> list[dict[str, Any]]:
    """Every trial as `iskpo-sweep status --json` tells it."""
    program = Path(sys.executable).with_name("iskpo-sweep")
    told = subprocess.run([str(program), "status", str(output), "--json"], check=True, capture_output=True, text=True)
    trials: list[dict[str, Any]] = json.loads(told.stdout)["trials"]
    return trials


def _floor_seconds(output: Path, trial: str) -> float:
    """The time that verl says the trial's steps and evaluations took."""
    events = (output / "trials" / trial / "attempt_01" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [json.loads(line)["metrics"] for line in events if json.loads(line)["kind"] == "step"]
    return sum(step.get(f"timing_s/{part}", 0.0) for step in steps for part in ("step", "testing"))


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=Path("studies/qv_kappa.yaml"))
    parser.add_argument("--fresh", type=int, default=2, help="trials to run in fresh processes")
    parser.add_argument("--output", type=Path, default=None, help="folder of the study (kept); by default a new one")
    arguments = parser.parse_args()
    study = load_study(arguments.study)
    trials = plan_trials(study)
    profile = resolve_profile(study.profile)
    with tempfile.TemporaryDirectory(prefix="iskpo-trials-") as folder:
        output = arguments.output or Path(folder) / "study"
        # The base model is made before either is timed.
        prepare_task(name=profile.task, model=profile.model, recipe=profile.recipe, quiet=True)
        whole = _study_seconds(study_file=arguments.study, output=output)
        done = _trials(output)
        # The first one's time holds the start of verl and vLLM.
        trained = [one for one in done if not one["same_as"]][1:]
        floor = fmean(_floor_seconds(output, one["trial"]) for one in trained)
        took = fmean(60 * one["minutes"] for one in trained)
        fresh = [
            _fresh_seconds(study=study, profile=profile, trial=trial, folder=Path(folder) / trial.key)
            for trial in trials[: arguments.fresh]
        ]
    mean, each = fmean(fresh), whole / len(trials)
    print(f"{study.name}: {len(trials)} trials of {study.steps} steps, profile {profile.name}, {os.cpu_count()} CPUs")
    print(f"fresh main_ppo a trial: {', '.join(f'{x:.0f}' for x in fresh)} s: {3600 / mean:.1f} trials an hour")
    print(f"one study, whole:       {whole:.0f} s, {each:.1f} s a trial: {3600 / each:.1f} trials an hour")
    print(f"floor, a trial's steps: {floor:.1f} s: {3600 / floor:.1f} trials an hour")
    print(f"a warm trial, whole:    {took:.1f} s: {took / floor - 1:.1%} over its steps and evaluation")
    twins = sum(bool(one["same_as"]) for one in done)
    print(f"twins:                  {twins} of {len(done)} not trained, which saved {twins * took:.0f} s")
    print(f"the study is {mean / each:.2f} x the fresh processes, and takes {each / floor:.2f} x the floor")


if __name__ == "__main__":
    main()
