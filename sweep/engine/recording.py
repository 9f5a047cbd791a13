"""A Tune callback in the driver: carries every event of every trial to MLflow and to the terminal."""

import contextlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.exceptions import RayActorError
from ray.tune import Callback
from ray.tune.experiment import Trial
from typing_extensions import override

from sweep.arms.objectives import recorded_objectives, trial_objectives
from sweep.engine.event_lines import EventLines
from sweep.engine.notice import Notice
from sweep.engine.progress import Progress
from sweep.engine.trial_source import Outcome, State, TrialEnds, from_config
from sweep.engine.twins import Twins
from sweep.store.plan_file import start_of_run
from sweep.store.study_folder import attempts, checkpoint_folder, trial_folder
from sweep.store.study_tracking import StudyTracking
from sweep.study.budget import Spent
from sweep.study.plan import TrialPlan

_OF_OBJECTIVES = ("kalman/tokens", "kalman/clip_fraction", "kalman/gain_mean")


@dataclass
class _Seen:
    steps: list[dict[str, float]] = field(default_factory=list)
    evaluation: dict[str, float] = field(default_factory=dict)
    last: int = 0


@dataclass(eq=False)
class Recording(Callback):
    """Carries the results of trials into MLflow."""

    tracking: StudyTracking
    progress: Progress | EventLines
    ends: TrialEnds
    spent: Spent
    output: Path
    params: dict[str, Any]  # of every trial
    twins: Twins
    notice: Notice | None = None  # what tells trials to end after a checkpoint; None where they cannot
    # What the objectives of the trials that run are computed from, and their last step.
    seen: dict[str, _Seen] = field(default_factory=dict)

    @override
    def __getstate__(self) -> dict[str, Any]:
        """Keep nothing: Tune writes its callbacks to disk, and a database connection is nothing to write."""
        return {}

    def settle(self, plan: TrialPlan) -> bool:
        """Record a trial that is proved to be one that finished, with its numbers; whether there is such a one."""
        if (found := self.twins.original(plan)) is None:
            return False
        original, why = found
        kappa = plan.arm.kappa
        step, metrics = self.tracking.record_twin(
            original=original.key, why=why, kappa=kappa, **start_of_run(plan, params=self.params)
        )
        objectives = recorded_objectives(metrics)
        outcome = Outcome("finished", objectives, step=step, reason=why, same_as=original.key)
        self.ends.now(plan, outcome)
        shutil.rmtree(checkpoint_folder(self.output, plan.key), ignore_errors=True)
        self.progress.trial_settled(plan, outcome, metrics)
        return True

    @override
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Create the trial's run."""
        plan = from_config(trial.config)
        self.seen[plan.key] = _Seen()
        self.spent.begin(plan.key)
        self.tracking.start_trial(**start_of_run(plan, params=self.params))
        self.progress.trial_started(plan)

    @override
    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Log one event."""
        plan = from_config(trial.config)
        event = result["event"]
        step, measured, time_measured = int(event["step"]), dict(event["metrics"]), event.get("time")
        seen = self.seen[plan.key]
        if event["kind"] == "step":
            metrics = self.tracking.log_metrics(key=plan.key, step=step, metrics=measured, time_measured=time_measured)
            seen.steps.append({name: metrics[name] for name in _OF_OBJECTIVES if name in metrics})
            seen.last = max(seen.last, step)
            if step > 0:
                self.spent.step(plan.key)
            self.progress.step(plan, step, metrics)
        elif event["kind"] == "samples":
            metrics = self.tracking.log_samples(
                key=plan.key,
                step=step,
                path=Path(event["text"]),
                metrics=measured,
                time_measured=time_measured,
            )
            if step > 0:
                seen.evaluation = metrics
            self.progress.evaluation(plan, step, metrics)
        elif event["kind"] == "traces":
            self.tracking.log_traces(key=plan.key, path=Path(event["text"]))
        elif event["kind"] == "progress":
            self.progress.phase(plan, event["text"], step)
            if event["text"] == "step" and self.notice:
                self.notice.steps(plan.key)
        elif event["kind"] == "resumed":
            if step:
                seconds = measured["seconds"]
                self.tracking.resume_trial(key=plan.key, step=step, seconds=seconds)
                self.spent.resume(plan.key, seconds)
            self.progress.trial_resumed(plan, step, event["text"])
        elif event["kind"] == "cut off":
            self._rests(plan)

    @override
    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Keep why an attempt failed; Tune starts the next one."""
        self._ensure_begun(iteration, trials, trial)
        plan = from_config(trial.config)
        reason = self._keep_reason(plan, trial)
        self.progress.trial_retried(plan, first_line(reason))
        self._rests(plan)

    @override
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """End the trial's run as finished, or as ended early where its last word was not that it had finished."""
        plan = from_config(trial.config)
        seen = self.seen.pop(plan.key)
        early = trial.last_result["event"]["kind"] != "finished"
        found = trial_objectives(steps=seen.steps, evaluation=seen.evaluation)
        objectives = {name: found[name] for name in self.ends.source.objectives}
        if objectives:
            metrics = {f"objective/{name}": value for name, value in objectives.items()}
            self.tracking.log_metrics(key=plan.key, step=seen.last, metrics=metrics)
        self.tracking.log_file(key=plan.key, path=self._folder(plan) / "resolved.yaml", folder="config")
        state: State = "stopped early" if early else "finished"
        self.tracking.end_trial(key=plan.key, state=state)
        self._end(plan, Outcome(state, objectives, step=seen.last))

    @override
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """End the trial's run as failed, with the reason and the last log lines."""
        self._ensure_begun(iteration, trials, trial)
        plan = from_config(trial.config)
        reason = first_line(self._keep_reason(plan, trial))
        self.seen.pop(plan.key, None)
        self.tracking.log_file(key=plan.key, path=self._folder(plan) / "resolved.yaml", folder="config")
        self.tracking.end_trial(key=plan.key, state="failed", reason=reason)
        self._end(plan, Outcome("failed", reason=reason))

    def _end(self, plan: TrialPlan, outcome: Outcome) -> None:
        self.spent.end(plan.key)
        if outcome.state == "finished":
            self.twins.add(plan)
        self.ends.now(plan, outcome)
        self.progress.trial_ended(plan, outcome)
        if outcome.state != "stopped early":  # The slot may be writing one; `TrialRunner` waits for it.
            shutil.rmtree(checkpoint_folder(self.output, plan.key), ignore_errors=True)
        self._rests(plan)

    def _rests(self, plan: TrialPlan) -> None:
        """A trial is not within a step any more: the command may end now, if it is to."""
        if self.notice:
            self.notice.rests(plan.key)

    def _ensure_begun(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """A trial has a run also where its slot was gone before it could begin."""
        if trial.config["trial"] not in self.seen:
            self.on_trial_start(iteration, trials, trial)

    def _keep_reason(self, plan: TrialPlan, trial: Trial) -> str:
        """Why an attempt failed, with the slot's last lines, as an artifact named after the attempt."""
        reason = failure_reason(trial)
        folder = self._folder(plan)
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{folder.name}.log"
        log.write_text(reason, encoding="utf-8", errors="replace")
        self.tracking.log_file(key=plan.key, path=log, folder="log")
        return reason

    def _folder(self, plan: TrialPlan) -> Path:
        """Folder of the trial's last attempt; an attempt that no slot took has none."""
        return (attempts(self.output, plan.key) or [trial_folder(self.output, plan.key) / "attempt_00"])[-1]


def first_line(reason: str) -> str:
    """The first line of a reason."""
    return reason.strip().splitlines()[0] if reason.strip() else "unknown"


def failure_reason(trial: Trial) -> str:
    """Why a Tune trial failed, without Ray's frames around it where Ray kept the cause."""
    # The files in Tune's staging folder: the trial's own methods look where they have not been copied to yet.
    with contextlib.suppress(Exception):
        error = cloudpickle.loads(Path(trial.pickled_error_file or "").read_bytes())
        if isinstance(error, RayActorError):
            return f"the trial runner has died: its process was killed, ran out of memory, or lost its node\n{error}"
        return str(getattr(error, "cause", None) or error)
    with contextlib.suppress(OSError):
        return Path(trial.error_file or "").read_text(encoding="utf-8", errors="replace")
    return "unknown: Ray kept no error"
