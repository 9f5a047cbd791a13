"""Runs the trials of a study that trains: verl and vLLM in warm slots."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sweep.engine.event_lines import EventLines
from sweep.engine.progress import Progress
from sweep.engine.ray_cluster import ray_cluster
from sweep.engine.recording import Recording
from sweep.engine.settings import session_overrides
from sweep.engine.slot import SlotSpecification
from sweep.engine.slot_resources import slot_bundles
from sweep.engine.trial_runner import ReservedRunner
from sweep.engine.trial_source import TrialEnds
from sweep.engine.tuning import make_scheduler, tune_trials
from sweep.profiles.profile import Profile
from sweep.store.mlflow_tables import RecordedRun
from sweep.store.plan_file import shared_params
from sweep.store.study_tracking import StudyTracking
from sweep.study.budget import Spent
from sweep.study.plan import TrialPlan
from sweep.study.study import Study
from sweep.tasks import PreparedTask, prepare_task

# Seconds of silence a slot is allowed while verl and vLLM start, and afterwards between two events.
PATIENCE = (900.0, 900.0)


@dataclass(frozen=True)
class Training:
    """A study that trains, ready to run: its task is prepared."""

    study: Study
    profile: Profile
    task: PreparedTask
    output: Path

    @classmethod
    def prepare(cls, *, study: Study, profile: Profile, output: Path, quiet: bool) -> "Training":
        """Prepare the task; the first time that takes minutes."""
        task = prepare_task(name=profile.task, model=profile.model, recipe=profile.recipe, quiet=quiet)
        return cls(study=study, profile=profile, task=task, output=output)

    def run(
        self,
        *,
        tracking: StudyTracking,
        plan: list[TrialPlan],
        total: int,
        ends: TrialEnds,
        spent: Spent,
        may_start: Callable[[], bool],
        ray_address: str | None,
        before: list[RecordedRun],
        quiet: bool,
        events: EventLines | None = None,
    ) -> None:
        """Run what has not ended; see `sweep.engine.study_run`."""
        study, bundles = self.study, slot_bundles(self.profile)
        compared = study.compared_early if study.early_stopping else None
        with events or Progress(plan=plan, total=total, steps=study.steps, quiet=quiet) as progress:
            for run in before:
                progress.trial_known(run.trial, run.state)
            with ray_cluster(
                profile=self.profile, slots=study.slots, bundles=bundles, address=ray_address, output=self.output
            ) as address:
                tune_trials(
                    trainable=ReservedRunner,
                    arguments={
                        "slot_specification": SlotSpecification(
                            address=address,
                            namespace="",
                            overrides=session_overrides(study=study, profile=self.profile, task=self.task),
                            environment=self.profile.environment,
                        ),
                        "output": str(self.output.resolve()),
                        "patience": PATIENCE,
                        "steps": study.steps,
                        "samples": study.eval.samples,
                        "compared": compared,
                    },
                    source=ends.source,
                    total=total,
                    slots=study.slots,
                    bundles=bundles,
                    retries=study.retries,
                    output=self.output,
                    may_start=may_start,
                    recording=Recording(
                        tracking=tracking,
                        progress=progress,
                        ends=ends,
                        spent=spent,
                        output=self.output,
                        params={**shared_params(study, self.profile), "study": study.name},
                        k=study.eval.samples,
                    ),
                    scheduler=make_scheduler(
                        stopping=study.early_stopping,
                        metric=compared,
                        steps=study.steps,
                        before=[tracking.history(run.run_id, compared) for run in before] if compared else [],
                    ),
                )
