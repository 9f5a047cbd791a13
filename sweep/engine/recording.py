"""A Tune callback in the driver: carries every event of every trial to MLflow and to the terminal."""

import contextlib
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune import Callback
from ray.tune.experiment import Trial

from sweep.engine.progress import Progress
from sweep.paper import paper_arm
from sweep.plan import TrialPlan
from sweep.study_folder import attempts, trial_folder
from sweep.tracking import StudyTracking
from sweep.tracking.arm_params import arm_params


class Recording(Callback):
    """Owns the way of results into MLflow.

    Args:
        tracking: The study's MLflow runs.
        progress: What people see.
        plan: All trials of the study.
        output: The study's folder.
        params: Parameters that every trial shares.
        k: Samples a problem.
    """

    def __init__(
        self,
        *,
        tracking: StudyTracking,
        progress: Progress,
        plan: list[TrialPlan],
        output: Path,
        params: dict[str, Any],
        k: int,
    ) -> None:
        """Remember where to record; nothing is written yet."""
        self._tracking, self._progress, self._output = tracking, progress, output
        self._params, self._k = params, k
        self._plan = {trial.key: trial for trial in plan}
        self.finished: list[str] = []
        self.failed: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its settings, callbacks among them, to disk, and a database connection is no setting."""
        return {}

    def trial_ended_before(self, plan: TrialPlan, state: str) -> None:
        """Count a trial that ended before this command began."""
        (self.finished if state == "finished" else self.failed).append(plan.key)
        self._progress.trial_known(plan, state)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Create the trial's run."""
        plan = self._plan[trial.config["trial"]]
        arm = plan.arm
        self._tracking.start_trial(
            key=plan.key,
            arm=arm.name,
            seed=plan.seed,
            loss=arm.loss,
            numerics=arm.numerics if arm.has_filter else "none",
            alias=known.name if (known := paper_arm(arm)) else "",
            params={**arm_params(arm), **self._params},
        )
        self._progress.trial_started(plan)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Log one event."""
        plan = self._plan[trial.config["trial"]]
        event = result["event"]
        step = int(event["step"])
        if event["kind"] == "step":
            self._progress.step(
                plan, step, self._tracking.log_metrics(key=plan.key, step=step, metrics=event["metrics"])
            )
        elif event["kind"] == "samples":
            metrics = self._tracking.log_samples(key=plan.key, step=step, path=Path(event["text"]), k=self._k)
            self._progress.evaluation(plan, step, metrics)
        elif event["kind"] == "traces":
            self._tracking.log_traces(key=plan.key, path=Path(event["text"]))
        elif event["kind"] == "progress":
            self._progress.phase(plan, event["text"], step)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Keep why an attempt failed; Tune starts the next one."""
        plan = self._plan[trial.config["trial"]]
        reason = self._keep_reason(plan, trial)
        self._progress.trial_retried(plan, _first_line(reason))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """End the trial's run as finished."""
        plan = self._plan[trial.config["trial"]]
        self._tracking.log_file(key=plan.key, path=self._folder(plan) / "resolved.yaml", folder="config")
        self._tracking.end_trial(key=plan.key, state="finished")
        self.finished.append(plan.key)
        self._progress.trial_finished(plan)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """End the trial's run as failed, with the reason and the last log lines."""
        plan = self._plan[trial.config["trial"]]
        first_line = _first_line(self._keep_reason(plan, trial))
        self._tracking.log_file(key=plan.key, path=self._folder(plan) / "resolved.yaml", folder="config")
        self._tracking.end_trial(key=plan.key, state="failed", reason=first_line)
        self.failed.append(plan.key)
        self._progress.trial_failed(plan, first_line)

    def _keep_reason(self, plan: TrialPlan, trial: Trial) -> str:
        """Why an attempt failed, with the slot's last lines, as an artifact named after the attempt."""
        reason = failure_reason(trial)
        folder = self._folder(plan)
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{folder.name}.log"
        log.write_text(reason)
        self._tracking.log_file(key=plan.key, path=log, folder="log")
        return reason

    def _folder(self, plan: TrialPlan) -> Path:
        """Of the trial's last attempt; an attempt that no slot took has none."""
        return (attempts(self._output, plan.key) or [trial_folder(self._output, plan.key) / "attempt_00"])[-1]


def _first_line(reason: str) -> str:
    return reason.strip().splitlines()[0] if reason.strip() else "unknown"


def failure_reason(trial: Trial) -> str:
    """Why a Tune trial failed, without Ray's frames around it where Ray kept the cause."""
    # The files in Tune's staging folder: the trial's own methods look where they have not been copied to yet.
    with contextlib.suppress(Exception):
        error = cloudpickle.loads(Path(trial.pickled_error_file or "").read_bytes())
        return str(getattr(error, "cause", None) or error)
    with contextlib.suppress(OSError):
        return Path(trial.error_file or "").read_text()
    return "unknown: Ray kept no error"
