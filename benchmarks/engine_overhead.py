"""What the engine costs a trial: an Optuna study of replays, which take next to nothing, whole, as a user runs it.

The study goes through Ray Tune, Optuna's file and MLflow. Beside its time a trial stand, measured alone:

- *replay*: filtering the log ratios under one arm, which is the floor: what the trial is;
- *sampler*: Optuna's choice of an arm with everything in memory, which grows with the trials that it looks at;
- *Optuna's file* and *MLflow*: writing one trial to each.

Engine overhead is the study's time a trial less replay and sampler; what MLflow and Optuna's file do not explain of it
is Ray Tune's. Memory is that of all processes of the study, shared pages counted once.

    python benchmarks/engine_overhead.py --trials 1000 --sampler random
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import optuna
import psutil

from iskpo.replay.traces import SequenceTrace, StepTrace, write_traces
from sweep.arms.objectives import DIRECTIONS, trial_objectives
from sweep.engine.suggester import OptunaSuggester, _sampler, _value
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.plan_file import arm_params
from sweep.store.recorded_traces import KeptTraces
from sweep.store.study_tracking import StudyTracking
from sweep.study.study import load_study

_MARK = "ISKPO_BENCHMARK_RUN"
_STUDY = """\
name: overhead
profile: tiny
trial: {{kind: replay, traces: earlier}}
space:
  kind: optuna
  sampler: {sampler}
  trials: {trials}
  objective: [clip_fraction, realised_gain]
  parameters:
    gain: {{low: 1.0e-4, high: 0.3, log: true}}
    threshold: {{low: 0.01, high: 1, log: true}}
    kappa: 3
"""


def _record_earlier(folder: Path, *, tokens: int) -> None:
    """A study with traces of about so many tokens, recorded by the code that records."""
    folder.mkdir()
    tracking = StudyTracking(output=folder, study="earlier")
    tracking.start_study(name="earlier", question="", params={})
    params = {"q": 1e-6, "v": 1.0, "kappa": 3.0, "p0": 0.0, "rho0": 0.0, "numerics": "exact", "estimator": "clip"}
    tracking.start_trial(key="a_s0", arm="a", seed=0, params={"loss": "iskpo", **params})
    random = np.random.default_rng(0)
    rows = max(1, tokens // 400)
    kept = [
        (row / rows, SequenceTrace(0, 0, 0, row, (rows, 400), f"p{row}", 0, 1.0, *2 * [z.astype(np.float32)]))
        for row, z in enumerate(0.05 * random.standard_t(3, size=(rows, 400)))
    ]
    path, configuration = folder / "step_0001.parquet", folder / "resolved.yaml"
    write_traces(path, step=1, trace=StepTrace(kept, rows))
    configuration.write_text(
        "actor_rollout_ref: {actor: {clip_ratio_low: 0.0003, clip_ratio_high: 0.0004}}\n", encoding="utf-8"
    )
    tracking.log_traces(key="a_s0", path=path)
    tracking.log_file(key="a_s0", path=configuration, folder="config")
    tracking.end_trial(key="a_s0", state="finished")


def _memory_of(mark: str) -> int:
    total = 0
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == mark:
                total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return total


def _command(*arguments: object) -> tuple[float, list[int]]:
    """Run a command of iskpo-sweep; seconds, and bytes of memory now and then."""
    mark, samples, ended = uuid.uuid4().hex, [], threading.Event()

    def watch() -> None:
        while not ended.wait(5.0):
            samples.append(_memory_of(mark))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        subprocess.run(
            [sys.executable, "-m", "sweep.cli", *map(str, arguments)],
            env={**os.environ, _MARK: mark},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    finally:
        seconds = time.perf_counter() - start
        ended.set()
        watcher.join()
    return seconds, samples


def _parts(folder: Path, output: Path) -> dict[str, float]:
    """Milliseconds a trial of each part, alone; of the sampler's the mean over all trials of the study."""
    study, traces = load_study(output / "study.yaml"), KeptTraces.load(output)
    arms = study.space.corners(defaults=study.defaults)
    metrics = traces.metrics(arms[0])  # compiles
    start, number = time.perf_counter(), 200
    for index in range(number):
        traces.metrics(arms[index % len(arms)])
    replay = 1000 * (time.perf_counter() - start) / number

    def choose(trials: int) -> float:
        """The same choices, written nowhere."""
        search = optuna.create_study(directions=[DIRECTIONS[name] for name in study.space.objective])
        random, start = np.random.default_rng(0), time.perf_counter()
        for index in range(trials):
            search.sampler = _sampler(study.space, number=index)
            asked = search.ask()
            for name, parameter in study.space.parameters.items():
                _value(asked, name, parameter)
            search.tell(asked, random.random(len(study.space.objective)).tolist())
        return 1000 * (time.perf_counter() - start) / trials

    def suggest(trials: int) -> float:
        suggester = OptunaSuggester(
            space=study.space.model_copy(update={"trials": trials}),
            defaults=study.defaults,
            storage_path=folder / "optuna.db",
            study_name="parts",
        )
        random, start = np.random.default_rng(0), time.perf_counter()
        while (asked := suggester.ask()) is not None:
            suggester.tell(number=asked[0], metrics=dict(zip(study.space.objective, random.random(2), strict=True)))
        return 1000 * (time.perf_counter() - start) / trials

    few = min(200, study.space.trials)
    file = suggest(few) - choose(few)
    tracking = StudyTracking(output=folder, study="parts")
    tracking.start_study(name="parts", question="", params={})
    objectives = {f"objective/{name}": v for name, v in trial_objectives(steps=[metrics], evaluation={}).items()}
    start = time.perf_counter()
    for index in range(number):
        arm = arms[index % len(arms)]
        tracking.record_trial(
            key=f"t{index}", arm=arm.name, seed=0, params=arm_params(arm), metrics=metrics | objectives, started=0.0
        )
    mlflow = 1000 * (time.perf_counter() - start) / number
    return {"replay": replay, "sampler": choose(study.space.trials), "file": file, "MLflow": mlflow}


def main() -> None:
    """Run the study and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--sampler", default="random", choices=["random", "tpe", "nsga2"])
    parser.add_argument("--tokens", type=int, default=20_000, help="log ratios that every trial filters")
    parser.add_argument("--more", type=int, default=20, help="trials that the resumption adds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, output = Path(name), Path(name) / "output"
        _record_earlier(folder / "earlier", tokens=arguments.tokens)
        study = folder / "study.yaml"
        study.write_text(_STUDY.format(sampler=arguments.sampler, trials=arguments.trials), encoding="utf-8")
        seconds, memory = _command("run", study, "--output", output, "--quiet")
        ends = sorted(run.ended for run in recorded_runs(output) if run.ended is not None)
        assert len(ends) == arguments.trials
        each = 1000 * (ends[-1] - ends[0]) / (len(ends) - 1)
        gaps = 1000 * np.diff(ends)
        quarter = max(1, len(gaps) // 4)
        status, _ = _command("status", output)
        as_json, _ = _command("status", output, "--json")
        study.write_text(
            _STUDY.format(sampler=arguments.sampler, trials=arguments.trials + arguments.more), encoding="utf-8"
        )
        resumed, _ = _command("resume", output, study, "--extend", "--quiet")
        assert len(recorded_runs(output)) == arguments.trials + arguments.more
        (folder / "parts").mkdir()
        parts = _parts(folder / "parts", output)
    overhead = each - parts["replay"] - parts["sampler"]
    print(f"{arguments.trials:,} trials, sampler {arguments.sampler}, {arguments.tokens:,} log ratios", end="")
    print(f", {os.cpu_count()} cores")
    print(f"whole command                     {seconds:8.1f} s")
    print(f"  before and after                {seconds - (ends[-1] - ends[0]):8.1f} s, the first trial included")
    print(
        f"a trial                           {each:8.1f} ms (first quarter {statistics.fmean(gaps[:quarter]):.1f}, ",
        end="",
    )
    print(f"last {statistics.fmean(gaps[-quarter:]):.1f})")
    print(f"  floor: the replay itself        {parts['replay']:8.1f} ms")
    print(f"  Optuna's sampler                {parts['sampler']:8.1f} ms, mean over the study")
    print(f"  engine overhead                 {overhead:8.1f} ms, of which")
    print(f"    Optuna's file                 {parts['file']:8.1f} ms")
    print(f"    MLflow                        {parts['MLflow']:8.1f} ms")
    rest = overhead - parts["MLflow"] - parts["file"]
    print(f"    Ray Tune and all else         {rest:8.1f} ms")
    if len(memory) > 4:
        half = max(memory[: len(memory) // 2]) / 1e6
        print(
            f"peak memory                       {max(memory) / 1e6:8.0f} MB (in the first half of the time {half:.0f})"
        )
    print(f"status, status --json             {status:8.1f} s, {as_json:.1f} s")
    print(f"resume with {arguments.more} trials more        {resumed:8.1f} s")


if __name__ == "__main__":
    main()
