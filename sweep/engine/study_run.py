"""Run a planned study from start to end: task, Ray, MLflow, Tune, and everything stopped again afterwards."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.engine.ray_cluster import ray_cluster
from sweep.engine.slot import SlotSpecification
from sweep.plan import TrialPlan
from sweep.profiles import Profile
from sweep.study import Study

# Seconds of silence a slot is allowed while verl and vLLM start, and afterwards between two events.
PATIENCE = (900.0, 900.0)


@dataclass(frozen=True)
class StudyResult:
    """How a study ended.

    Attributes:
        output: The study's folder.
        finished: Keys of the trials that finished.
        failed: Keys of the trials that failed.
    """

    output: Path
    finished: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def run_study(
    *,
    study: Study,
    plan: list[TrialPlan],
    profile: Profile,
    output: Path,
    study_file: Path,
    ray_address: str | None = None,
    quiet: bool = False,
) -> StudyResult:
    """Run every trial of a plan and record it in MLflow under the output folder.

    Args:
        study: The study.
        plan: Its trials, in the order in which they start.
        profile: The resolved profile.
        output: The study's folder; exists and is empty.
        study_file: The study file, kept as an artifact as it was written.
        ray_address: An existing Ray cluster; by default one is started here and stopped at the end.
        quiet: Show no progress.

    Returns:
        Which trials finished and which failed.

    Raises:
        KeyboardInterrupt: Interrupted; everything that was started is stopped, finished trials are recorded.
    """
    from sweep.engine.progress import Progress
    from sweep.engine.recording import Recording
    from sweep.engine.settings import session_overrides
    from sweep.plan_view import plan_as_json
    from sweep.tasks import prepare_task
    from sweep.tracking import StudyTracking

    task = prepare_task(name=profile.task, model=profile.model, quiet=quiet)
    tracking = StudyTracking(output=output, study=study.name)
    plan_file = output / "plan.json"
    planned = plan_as_json(study=study, plan=plan, profile=profile, requested_profile=study.profile)
    plan_file.write_text(json.dumps(planned, indent=1, allow_nan=False))
    kept_study = output / "study.yaml"
    shutil.copyfile(study_file, kept_study)
    shared = {"profile": profile.name, "steps": study.steps, "eval_samples": study.eval.samples}
    tracking.start_study(
        name=study.name,
        question=study.question or "",
        params={**shared, "seeds": len({t.seed for t in plan}), "arms": len({t.arm.name for t in plan})},
        files={"study": kept_study, "plan": plan_file},
    )
    state = "failed"
    try:
        with (
            Progress(plan=plan, steps=study.steps, quiet=quiet) as progress,
            ray_cluster(profile=profile, slots=study.slots, address=ray_address, output=output) as address,
        ):
            recording = Recording(
                tracking=tracking,
                progress=progress,
                plan=plan,
                output=output,
                params={**shared, "study": study.name},
                k=study.eval.samples,
            )
            slot = SlotSpecification(
                address=address,
                namespace="",
                overrides=session_overrides(study=study, profile=profile, task=task),
                environment=profile.environment,
            )
            _tune(plan=plan, slots=study.slots, slot=slot, output=output, recording=recording)
        state = "failed" if recording.failed else "finished"
        return StudyResult(output=output, finished=recording.finished, failed=recording.failed)
    except KeyboardInterrupt:
        state = "interrupted"
        raise
    finally:
        tracking.end_study(state=state)


def _tune(*, plan: list[TrialPlan], slots: int, slot: SlotSpecification, output: Path, recording: Any) -> None:
    """Hand the plan to Ray Tune as a grid over its trials."""
    from ray import tune

    from sweep.engine.trial_runner import TrialRunner

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
        param_space={"trial": tune.grid_search([trial.key for trial in plan])},
        tune_config=tune.TuneConfig(
            num_samples=1,
            max_concurrent_trials=slots,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.config["trial"],
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(output.resolve()),
            callbacks=[recording],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
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
