"""Run a study from start to end: task, Ray, MLflow, Tune, and everything stopped again afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.arms.objectives import recorded_objectives
from sweep.input.errors import StudyCutOff
from sweep.profiles.profile import Profile
from sweep.search_spaces.own import own_files
from sweep.store.plan_file import keep_plan, params_of_trials, shared_params, start_of_run
from sweep.store.study_folder import PLAN_FILE, STUDY_FILE, asked_to_stop, owned, remove_checkpoints
from sweep.study.budget import Spent
from sweep.study.plan import TrialPlan, evaluates_untrained, number_of_trials
from sweep.study.study import Study

if TYPE_CHECKING:
    from sweep.engine.event_lines import EventLines
    from sweep.engine.trial_source import TrialSource
    from sweep.engine.tuning import RunningStudy
    from sweep.store.mlflow_tables import RecordedRun
    from sweep.store.reuse import Reusable
    from sweep.store.study_tracking import StudyTracking

OPTUNA_FILE = "optuna.db"
# States of trials that are not run again.
_ENDED = ("finished", "failed", "stopped early")


@dataclass(frozen=True)
class StudyResult:
    """How a study ended.

    Attributes:
        finished: Keys of the trials that finished, now or before.
        failed: Keys of the trials that failed, now or before.
        stopped: Whether somebody asked it to stop before every trial had started.
        spent: The part of its budget that it has used up, in words, or "".
    """

    finished: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    stopped: bool = False
    spent: str = ""


def run_study(
    *,
    study: Study,
    plan: list[TrialPlan],
    profile: Profile,
    output: Path,
    requested_profile: str | None = None,
    ray_address: str | None = None,
    quiet: bool = False,
    events: "EventLines | None" = None,
    resume: bool = False,
    retry_failed: bool = False,
    study_folder: Path | None = None,
    reuse: Path | None = None,
) -> StudyResult:
    """Run every trial of a study that has not ended yet and record it in MLflow under the output folder.

    Args:
        study: The study; its file is in the folder.
        plan: Its trials, in the order in which they start; empty where Optuna chooses them.
        profile: The resolved profile.
        output: The study's folder.
        requested_profile: The profile that was asked for, if not the study's.
        ray_address: An existing Ray cluster; by default the study's, or one is started here and
            stopped at the end.
        quiet: Show no progress.
        events: What happens goes there in place of the progress that people see.
        resume: Go on with what the folder holds, in the same MLflow runs.
        retry_failed: When resuming, try failed trials again as well.
        study_folder: Where the study file lay, from which a replay looks for its traces.
        reuse: Folder of another study, whose trials that are this one's are taken over and not trained.

    Returns:
        Which trials finished and which failed.

    Raises:
        KeyboardInterrupt: Interrupted; everything that was started is stopped, finished trials are recorded.
        UserError: Another process runs the study in this folder, it replays a study that has no traces, or its disk is
            full or its store locked.
    """
    from sweep.engine.cut_off import said_clearly
    from sweep.engine.trial_source import TrialEnds
    from sweep.store.reuse import reusable_trials

    profile = profile.with_gpus(study.ray.gpus_per_trial).with_checkpoint(study.checkpoint)
    with said_clearly(output), owned(output):
        found = reusable_trials(source=reuse, study=study, profile=profile, plan=plan) if reuse else []
        run_trials = _prepare(study=study, profile=profile, output=output, study_folder=study_folder, quiet=quiet)
        tracking, known = _begin_tracking(
            study=study, plan=plan, profile=profile, output=output, requested_profile=requested_profile, resume=resume
        )
        if found:
            known = _taken_over(found, tracking=tracking, study=study, profile=profile, output=output)
            if not quiet:
                print(f"{len(known)} of {number_of_trials(study)} trials are taken over from {reuse}.", flush=True)
        ended = [run for run in known.values() if run.state in _ENDED and not (retry_failed and run.state == "failed")]
        cut_off = known.keys() - {run.trial for run in ended}
        remove_checkpoints(output, of=lambda trial: trial not in cut_off)
        ends = TrialEnds(_source(study=study, plan=plan, output=output, ended=ended))
        for run in ended:
            ends.before(run.trial, run.state)
        trained = [run for run in ended if not (run.same_as or run.taken_from)]
        spent = Spent(
            trials=len(trained),
            steps=sum(run.step for run in trained),
            seconds=sum(run.seconds or 0.0 for run in trained),
        )
        total, state, exhausted = number_of_trials(study), "failed", ""

        def may_start() -> bool:
            nonlocal exhausted
            exhausted = spent.exhausts(study.budget) if study.budget else ""
            return not exhausted and not asked_to_stop(output)

        try:
            if len(ends) < total and may_start():
                from sweep.engine.tuning import RunningStudy

                run_trials(
                    RunningStudy(
                        study=study,
                        profile=profile,
                        output=output,
                        plan=plan,
                        total=total,
                        tracking=tracking,
                        ends=ends,
                        before=ended,
                        spent=spent,
                        may_start=may_start,
                        ray_address=ray_address or study.ray.address,
                        quiet=quiet,
                        events=events,
                    )
                )
            incomplete = len(ends) < total
            stopped = incomplete and (not exhausted or asked_to_stop(output))
            state = "interrupted" if stopped else "failed" if ends.failed else "finished"
            return StudyResult(
                finished=ends.finished,
                failed=ends.failed,
                stopped=stopped,
                spent=exhausted if incomplete else "",
            )
        except (KeyboardInterrupt, StudyCutOff):
            state = "interrupted"
            raise
        finally:
            tracking.end_study(state=state)
            remove_checkpoints(output, of=lambda trial: trial in ends)


def _prepare(
    *, study: Study, profile: Profile, output: Path, study_folder: Path | None, quiet: bool
) -> "Callable[[RunningStudy], None]":
    """What runs trials of the study's kind; whatever can be refused is refused here."""
    if study.trial.is_replay:
        from sweep.engine.replaying import keep_log_ratios, run_replays

        keep_log_ratios(study=study, output=output, study_folder=study_folder, quiet=quiet)
        return run_replays
    from sweep.engine.training import run_training
    from sweep.tasks import prepare_task

    task = prepare_task(name=profile.task, model=profile.model, recipe=profile.recipe, quiet=quiet)
    return partial(run_training, task=task)


def _begin_tracking(
    *,
    study: Study,
    plan: list[TrialPlan],
    profile: Profile,
    output: Path,
    requested_profile: str | None,
    resume: bool,
) -> "tuple[StudyTracking, dict[str, RecordedRun]]":
    """The study's run, begun or taken up again, and the trials that have runs already."""
    from sweep.store.study_tracking import StudyTracking

    tracking = StudyTracking(output=output, study=study.name)
    keep_plan(output=output, study=study, plan=plan, profile=profile, requested_profile=requested_profile)
    known = tracking.resume_study() if resume else {}
    if not resume:
        tracking.start_study(
            name=study.name,
            question=study.question or "",
            params={**shared_params(study, profile), "seeds": len(study.seeds), "arms": study.space.size()},
        )
    # What its search space is read from too, so that the study can be read again from what MLflow has.
    own = own_files(space=study.space, folder=output)
    tracking.log_study_files([output / STUDY_FILE, output / PLAN_FILE, *own])
    return tracking, known


def _taken_over(
    found: "list[Reusable]", *, tracking: "StudyTracking", study: Study, profile: Profile, output: Path
) -> "dict[str, RecordedRun]":
    """Record trials that another study has trained; they count as those that ended in an earlier command."""
    from sweep.store.mlflow_tables import latest_study

    for trial in found:
        tracking.take_over(trial, **start_of_run(trial.trial, params=params_of_trials(study, profile)))
    return latest_study(output)[1]


def _source(*, study: Study, plan: list[TrialPlan], output: Path, ended: "list[RecordedRun]") -> "TrialSource":
    from sweep.engine.trial_source import Outcome, PlannedTrials, SuggestedTrials
    from sweep.search_spaces import OptunaSpace

    keys = {run.trial for run in ended}
    if not isinstance(study.space, OptunaSpace):
        return PlannedTrials(plan, ended=keys, twins=study.twins == "record")
    from sweep.engine.suggester import OptunaSuggester

    return SuggestedTrials(
        suggester=OptunaSuggester(
            space=study.space, defaults=study.defaults, storage_path=output / OPTUNA_FILE, study_name=study.name
        ),
        seeds=study.seeds,
        objectives=study.space.objective,
        untrained=evaluates_untrained(study),
        before={
            run.trial: Outcome(
                state=run.state,  # type: ignore[arg-type]
                objectives=recorded_objectives(run.metrics),
                step=run.step,
                reason=run.reason,
            )
            for run in ended
        },
    )
