"""A Tune callback in the driver: writes each replayed trial to MLflow when it has ended, whole and at once."""

import time
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from sweep.arms.objectives import trial_objectives
from sweep.arms.paper import paper_arm
from sweep.engine.event_lines import EventLines
from sweep.engine.recording import failure_reason, first_line
from sweep.engine.replay_progress import ReplayProgress
from sweep.engine.trial_ends import TrialEnds
from sweep.engine.trial_source import Outcome, from_config
from sweep.store.arm_params import arm_params
from sweep.store.study_tracking import StudyTracking
from sweep.study.budget import Spent
from sweep.study.plan import TrialPlan


class ReplayRecording(Callback):
    """Owns the way of a replay study's results into MLflow.

    Args:
        tracking: The study's MLflow runs.
        progress: What people see, or programs read.
        ends: Counts trials and tells who chooses them.
        spent: What the study has used.
    """

    def __init__(
        self, *, tracking: StudyTracking, progress: ReplayProgress | EventLines, ends: TrialEnds, spent: Spent
    ) -> None:
        """Remember where to record; nothing is written yet."""
        self._tracking, self._progress, self._ends, self._spent = tracking, progress, ends, spent
        self._began: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its settings, callbacks among them, to disk, and a database connection is no setting."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Note the time."""
        key = trial.config["trial"]
        self._began[key] = time.time()
        self._spent.begin(key)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Record the trial."""
        metrics: dict[str, float] = dict(trial.last_result["metrics"])
        found = trial_objectives(steps=[metrics], evaluation={})
        objectives = {name: found[name] for name in self._ends.source.objectives}
        plan = from_config(trial.config)
        self._record(plan, metrics | {f"objective/{name}": value for name, value in objectives.items()})
        self._spent.step(plan.key)
        self._end(plan, Outcome("finished", objectives, step=1))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Record that the trial failed, and why; also one whose runner was gone before it could begin."""
        if trial.config["trial"] not in self._began:
            self.on_trial_start(iteration, trials, trial)
        plan, reason = from_config(trial.config), first_line(failure_reason(trial))
        self._record(plan, {}, state="failed", reason=reason)
        self._end(plan, Outcome("failed", reason=reason))

    def _record(self, plan: TrialPlan, metrics: dict[str, float], **end: str) -> None:
        arm = plan.arm
        self._tracking.record_trial(
            key=plan.key,
            arm=arm.name,
            seed=plan.seed,
            alias=known.name if (known := paper_arm(arm)) else "",
            params=arm_params(arm),
            metrics=metrics,
            started=self._began.pop(plan.key, time.time()),
            **end,
        )

    def _end(self, plan: TrialPlan, outcome: Outcome) -> None:
        self._spent.end(plan.key)
        self._ends.now(plan, outcome)
        self._progress.trial_ended(plan, outcome)
