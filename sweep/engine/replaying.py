"""Runs the trials of a study that replays recorded log ratios: no model and no verl.

A trial takes milliseconds. So people see a count now and then instead of a line a trial, and MLflow gets each trial
whole, when it has ended.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.console import Console
from typing_extensions import override

from sweep.arms.objectives import trial_objectives
from sweep.arms.paper import paper_arm
from sweep.engine.event_lines import EventLines
from sweep.engine.ray_cluster import REPLAY, ray_cluster
from sweep.engine.recording import failure_reason, first_line
from sweep.engine.replay_runner import ReplayRunner
from sweep.engine.trial_source import Outcome, TrialEnds, from_config
from sweep.engine.tuning import InOrder, RunningStudy, tune_trials
from sweep.profiles.profile import Profile
from sweep.store.plan_file import arm_params
from sweep.store.recorded_traces import KEPT_TRACES, keep_traces, traces_folder
from sweep.store.study_tracking import StudyTracking
from sweep.study.budget import Spent
from sweep.study.plan import TrialPlan
from sweep.study.study import Study

_EVERY_SECONDS = 10.0


class ReplayProgress:
    """Prints a line now and then; use as a context."""

    def __init__(self, *, total: int, before: int, quiet: bool) -> None:
        """Prepare."""
        self._console = Console(quiet=quiet)
        self._total, self._ended, self._before = total, before, before
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> "ReplayProgress":
        """Nothing to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """The last count."""
        self._show("")

    def trial_replayed(self, trial: TrialPlan, outcome: Outcome) -> None:
        """Count a trial; a failure has a line of its own."""
        self._ended += 1
        if outcome.state == "failed":
            self._print(f"{trial.key}: FAILED: {outcome.reason}")
        elif time.monotonic() - self._shown >= _EVERY_SECONDS:
            values = ", ".join(f"{name} {value:.3g}" for name, value in outcome.objectives.items())
            self._show(f"; last {trial.key}" + (f" with {values}" if values else ""))

    def _show(self, what: str) -> None:
        self._shown = time.monotonic()
        done = self._ended - self._before
        each = f", {1000 * (self._shown - self._started) / done:.0f} ms each" if done else ""
        self._print(f"{self._ended:,} of {self._total:,} trials ended{each}{what}")

    def _print(self, line: str) -> None:
        elapsed = time.monotonic() - self._started
        self._console.print(f"[{elapsed:6.1f} s] {line}", highlight=False, markup=False, soft_wrap=True)


@dataclass(eq=False)
class ReplayRecording(Callback):
    """Carries the results of replays into MLflow: each trial whole, when it has ended."""

    tracking: StudyTracking
    progress: ReplayProgress | EventLines
    ends: TrialEnds
    spent: Spent
    began: dict[str, float] = field(default_factory=dict)

    @override
    def __getstate__(self) -> dict[str, Any]:
        """Keep nothing: Tune writes its callbacks to disk, and a database connection is nothing to write."""
        return {}

    @override
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Note the time."""
        key = trial.config["trial"]
        self.began[key] = time.time()
        self.spent.begin(key)

    @override
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Record the trial."""
        metrics: dict[str, float] = dict(trial.last_result["metrics"])
        found = trial_objectives(steps=[metrics], evaluation={})
        objectives = {name: found[name] for name in self.ends.source.objectives}
        plan = from_config(trial.config)
        self._record(plan, metrics | {f"objective/{name}": value for name, value in objectives.items()})
        self.spent.step(plan.key)
        self._end(plan, Outcome("finished", objectives, step=1))

    @override
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Record that the trial failed, and why; also one whose runner was gone before it could begin."""
        if trial.config["trial"] not in self.began:
            self.on_trial_start(iteration, trials, trial)
        plan, reason = from_config(trial.config), first_line(failure_reason(trial))
        self._record(plan, {}, state="failed", reason=reason)
        self._end(plan, Outcome("failed", step=0, reason=reason))

    def _record(self, plan: TrialPlan, metrics: dict[str, float], **end: str) -> None:
        arm = plan.arm
        self.tracking.record_trial(
            key=plan.key,
            arm=arm.name,
            seed=plan.seed,
            alias=known.name if (known := paper_arm(arm)) else "",
            params=arm_params(arm),
            metrics=metrics,
            started=self.began.pop(plan.key, time.time()),
            **end,
        )

    def _end(self, plan: TrialPlan, outcome: Outcome) -> None:
        self.spent.end(plan.key)
        self.ends.now(plan, outcome)
        self.progress.trial_replayed(plan, outcome)


def keep_log_ratios(*, study: Study, output: Path, study_folder: Path | None, quiet: bool) -> None:
    """Copy the log ratios of the earlier study, unless the folder has them already.

    Raises:
        UserError: The earlier study is not there, or has none.
    """
    if not (output / KEPT_TRACES).exists():
        source = traces_folder(study.trial, study_folder=study_folder or Path())
        copied = keep_traces(output=output, source=source, only=list(study.trial.only or ()))
        Console(quiet=quiet).print(f"Replays {copied}.", highlight=False, markup=False, soft_wrap=True)


def run_replays(running: RunningStudy) -> None:
    """Run the trials that are left of a study whose folder has the log ratios."""
    before, events = running.before, running.events
    if events is not None:
        for run in before:
            events.trial_known(run.trial, run.state)
    with (
        events or ReplayProgress(total=running.total, before=len(before), quiet=running.quiet) as progress,
        ray_cluster(
            profile=_alone(running.profile),
            slots=running.study.slots,
            bundles=REPLAY,
            address=running.ray_address,
            output=running.output,
        ),
    ):
        tune_trials(
            running,
            trainable=ReplayRunner,
            arguments={},
            bundles=REPLAY,
            recording=ReplayRecording(
                tracking=running.tracking, progress=progress, ends=running.ends, spent=running.spent
            ),
            scheduler=InOrder(),
        )


def _alone(profile: Profile) -> Profile:
    """A profile that asks Ray for the runner alone: Ray starts a process for every logical CPU that verl would need."""
    return profile.model_copy(update={"ray": profile.ray.model_copy(update={"logical_cpus": 1})})
