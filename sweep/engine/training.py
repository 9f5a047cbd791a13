"""Runs the trials of a study that trains: verl and vLLM in warm slots."""

import contextlib

from sweep.engine.notice import Notice
from sweep.engine.progress import Progress
from sweep.engine.ray_cluster import ray_cluster, slot_bundles
from sweep.engine.recording import Recording
from sweep.engine.settings import BatchSizes, session_overrides
from sweep.engine.slot import SlotSpecification
from sweep.engine.trial_runner import TrialRunner
from sweep.engine.tuning import RunningStudy, make_scheduler, tune_trials
from sweep.engine.twins import Twins
from sweep.store.plan_file import params_of_trials
from sweep.store.recorded_points import history, measured
from sweep.tasks import PreparedTask


def run_training(running: RunningStudy, *, task: PreparedTask) -> None:
    """Run the trials that are left of a study whose task is prepared."""
    study, profile, before = running.study, running.profile, running.before
    bundles, compared = slot_bundles(profile), study.compared_early if study.early_stopping else None
    shown = running.events or Progress(plan=running.plan, total=running.total, steps=study.steps, quiet=running.quiet)
    notice = Notice(output=running.output) if profile.checkpoint.every else None
    with shown as progress:
        trained = set()
        for run in before:
            progress.trial_known(run.trial, run.state)
            if run.state == "finished" and not run.same_as:
                trained.add(run.trial)
        twins = Twins(
            finished=[trial for trial in running.ends.source.known() if trial.key in trained],
            steps=study.steps,
            measured=lambda key, names: measured(
                output=running.output, run_id=running.tracking.run_of(key), names=names
            ),
            wanted=study.twins == "record",
        )
        recording = Recording(
            tracking=running.tracking,
            progress=progress,
            ends=running.ends,
            spent=running.spent,
            output=running.output,
            params=params_of_trials(study, profile),
            twins=twins,
            notice=notice,
        )
        with (
            ray_cluster(
                profile=profile,
                slots=study.slots,
                bundles=bundles,
                address=running.ray_address,
                output=running.output,
            ) as address,
            notice.awaited() if notice else contextlib.nullcontext(),
        ):
            tune_trials(
                running,
                trainable=TrialRunner,
                arguments={
                    "slot_specification": SlotSpecification(
                        address=address,
                        namespace="",
                        overrides=session_overrides(study=study, profile=profile, task=task),
                        environment=profile.environment,
                    ),
                    "sizes": BatchSizes(profile.verl, study.overrides, profile.ray.slot_gpus),
                    "steps": study.steps,
                    "samples": study.eval.samples,
                    "checkpoint_every": profile.checkpoint.every,
                    "compared": compared,
                },
                bundles=bundles,
                recording=recording,
                settle=recording.settle,
                scheduler=make_scheduler(
                    stopping=study.early_stopping,
                    metric=compared,
                    steps=study.steps,
                    before=[history(output=running.output, run_id=run.run_id, metric=compared) for run in before]
                    if compared
                    else [],
                ),
            )
