"""Run a planned study from start to end: task, Ray, MLflow, Tune, and everything stopped again afterwards."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.engine.ray_cluster import ray_cluster
from sweep.engine.settings import session_overrides
from sweep.engine.slot import SlotSpecification
from sweep.plan import TrialPlan
from sweep.profiles import Profile
from sweep.study import Study
from sweep.study_folder import PLAN_FILE, STUDY_FILE, asked_to_stop, keep_plan, owned

# Seconds of silence a slot is allowed while verl and vLLM start, and afterwards between two events.
PATIENCE = (900.0, 900.0)


@dataclass(frozen=True)
class StudyResult:
    """How a study ended.

    Attributes:
        output: The study's folder.
        finished: Keys of the trials that finished, now or before.
        failed: Keys of the trials that failed, now or before.
        stopped: Whether somebody asked it to stop before every trial had started.
    """

    output: Path
    finished: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    stopped: bool = False


def run_study(
    *,
    study: Study,
    plan: list[TrialPlan],
    profile: Profile,
    output: Path,
    requested_profile: str | None = None,
    ray_address: str | None = None,
    quiet: bool = False,
    resume: bool = False,
    retry_failed: bool = False,
) -> StudyResult:
    """Run every trial of a plan that has not ended yet and record it in MLflow under the output folder.

    Args:
        study: The study; its file is in the folder.
        plan: Its trials, in the order in which they start.
        profile: The resolved profile.
        output: The study's folder.
        requested_profile: The profile that was asked for, if not the study's.
        ray_address: An existing Ray cluster; by default one is started here and stopped at the end.
        quiet: Show no progress.
        resume: Go on with what the folder holds, in the same MLflow runs.
        retry_failed: When resuming, try failed trials again as well.

    Returns:
        Which trials finished and which failed.

    Raises:
        KeyboardInterrupt: Interrupted; everything that was started is stopped, finished trials are recorded.
        UserError: Another process runs the study in this folder.
    """
    from sweep.engine.progress import Progress
    from sweep.engine.recording import Recording
    from sweep.tasks import prepare_task
    from sweep.tracking import StudyTracking

    with owned(output):
        task = prepare_task(name=profile.task, model=profile.model, quiet=quiet)
        tracking = StudyTracking(output=output, study=study.name)
        keep_plan(output=output, study=study, plan=plan, profile=profile, requested_profile=requested_profile)
        shared = {"profile": profile.name, "steps": study.steps, "eval_samples": study.eval.samples}
        states = tracking.resume_study() if resume else {}
        if not resume:
            tracking.start_study(
                name=study.name,
                question=study.question or "",
                params={**shared, "seeds": len({t.seed for t in plan}), "arms": len({t.arm.name for t in plan})},
            )
        tracking.log_study_files([output / STUDY_FILE, output / PLAN_FILE])
        ended = {"finished"} if retry_failed else {"finished", "failed"}
        before = [trial for trial in plan if states.get(trial.key) in ended]
        remaining = [trial for trial in plan if states.get(trial.key) not in ended]
        state = "failed"
        try:
            with Progress(plan=plan, steps=study.steps, quiet=quiet) as progress:
                recording = Recording(
                    tracking=tracking,
                    progress=progress,
                    plan=plan,
                    output=output,
                    params={**shared, "study": study.name},
                    k=study.eval.samples,
                )
                for trial in before:
                    recording.trial_ended_before(trial, states[trial.key])
                if remaining:
                    with ray_cluster(profile=profile, slots=study.slots, address=ray_address, output=output) as address:
                        slot = SlotSpecification(
                            address=address,
                            namespace="",
                            overrides=session_overrides(study=study, profile=profile, task=task),
                            environment=profile.environment,
                        )
                        _tune(plan=remaining, study=study, slot=slot, output=output, recording=recording)
            stopped = len(recording.finished) + len(recording.failed) < len(plan)
            state = "interrupted" if stopped else "failed" if recording.failed else "finished"
            return StudyResult(output=output, finished=recording.finished, failed=recording.failed, stopped=stopped)
        except KeyboardInterrupt:
            state = "interrupted"
            raise
        finally:
            tracking.end_study(state=state)


def _tune(*, plan: list[TrialPlan], study: Study, slot: SlotSpecification, output: Path, recording: Any) -> None:
    """Hand the plan to Ray Tune."""
    from ray import tune

    from sweep.engine.plan_searcher import PlanSearcher
    from sweep.engine.trial_runner import TrialRunner

    # A failure is shown in a line and kept whole in MLflow; Tune would also print its own frames around it.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(
                TrialRunner,
                plan={trial.key: trial for trial in plan},
                slot_specification=slot,
                output=str(output.resolve()),
                patience=PATIENCE,
            ),
            {"CPU": 1},
        ),
        tune_config=tune.TuneConfig(
            search_alg=PlanSearcher(plan=plan, may_start=lambda: not asked_to_stop(output)),
            num_samples=len(plan),
            max_concurrent_trials=study.slots,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.config["trial"],
        ),
        run_config=tune.RunConfig(
            name=f"session_{1 + len(list((output / 'tune').glob('session_*'))):02d}",
            storage_path=str(output.resolve() / "tune"),
            callbacks=[recording],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=study.retries),
            # Tune's own checkpoints would hold nothing: a trial's state is verl's.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    with _environment(
        # Ctrl-C must end the study at once, not after Tune has let every trial finish its step.
        TUNE_DISABLE_SIGINT_HANDLER="1",
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
        TUNE_DISABLE_AUTO_CALLBACK_SYNCER="1",
        TUNE_DISABLE_STRICT_METRIC_CHECKING="1",
        RAY_AIR_NEW_OUTPUT="0",
    ):
        tuner.fit()


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
