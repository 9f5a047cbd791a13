"""Runs the trials of a study that replays recorded log ratios: no model, no verl, one process with the log ratios."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sweep.engine.event_lines import EventLines
from sweep.engine.ray_cluster import ray_cluster
from sweep.engine.slot_resources import REPLAY
from sweep.engine.trial_ends import TrialEnds
from sweep.profiles.profile import Profile
from sweep.store.kept_traces import KEPT_TRACES, keep_traces, traces_folder
from sweep.store.recorded_runs import RecordedRun
from sweep.store.study_tracking import StudyTracking
from sweep.study.budget import Spent
from sweep.study.plan import TrialPlan
from sweep.study.study import Study


@dataclass(frozen=True)
class Replaying:
    """A study that replays, ready to run.

    Attributes:
        study: The study.
        profile: Its profile, which says what Ray is told of the machine.
        output: Its folder.
    """

    study: Study
    profile: Profile
    output: Path

    @classmethod
    def prepare(
        cls, *, study: Study, profile: Profile, output: Path, study_folder: Path | None, quiet: bool
    ) -> "Replaying":
        """Copy the log ratios, unless the folder has them already.

        Raises:
            UserError: The earlier study is not there, or has none.
        """
        if not (output / KEPT_TRACES).exists():
            source = traces_folder(study.trial, study_folder=study_folder or Path())
            copied = keep_traces(output=output, source=source, only=list(study.trial.only or ()))
            Console(quiet=quiet).print(f"Replays {copied}.", highlight=False, markup=False, soft_wrap=True)
        return cls(study=study, profile=profile, output=output)

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
        from sweep.engine.replay_progress import ReplayProgress
        from sweep.engine.replay_recording import ReplayRecording
        from sweep.engine.replay_runner import ReplayRunner
        from sweep.engine.tuning import tune_trials

        study = self.study
        for run in before if events is not None else ():
            events.trial_known(run.trial, run.state)
        with (
            events or ReplayProgress(total=total, before=len(before), quiet=quiet) as progress,
            ray_cluster(
                profile=_alone(self.profile),
                slots=study.slots,
                bundles=REPLAY,
                address=ray_address,
                output=self.output,
            ),
        ):
            tune_trials(
                trainable=ReplayRunner,
                arguments={"output": str(self.output.resolve())},
                source=ends.source,
                total=total,
                slots=study.slots,
                bundles=REPLAY,
                retries=study.retries,
                output=self.output,
                may_start=may_start,
                recording=ReplayRecording(tracking=tracking, progress=progress, ends=ends, spent=spent),
            )


def _alone(profile: Profile) -> Profile:
    """A profile that asks Ray for the runner alone: Ray starts a process for every logical CPU that verl would need."""
    return profile.model_copy(update={"ray": profile.ray.model_copy(update={"logical_cpus": 1})})
