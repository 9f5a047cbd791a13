"""Trials that another study has trained already: taken over with numbers and files, and a link to the run they are of.

Equal settings make an equal trial where the rest is equal too: the keys of the study that decide how each of its trials
runs, the profile, the versions of the packages and the commit. A trial that is another one by proof is left out; this
study proves it again from the trial that it is.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from sweep.input.errors import UserError
from sweep.profiles.profile import Profile
from sweep.store.machine import environment_tags
from sweep.store.mlflow_tables import RecordedRun, latest_study
from sweep.store.mlflow_writes import copy_run
from sweep.store.resumption import kept_profile, recorded_study_file
from sweep.store.study_folder import artifact_folder
from sweep.store.study_store import require_study
from sweep.store.trial_tables import UNTRAINED, UNTRAINED_SAMPLES
from sweep.study.plan import TrialPlan, listed_trials
from sweep.study.study import Study, load_study

_SAME = ("trial", "steps", "eval", "overrides", "early_stopping")
_COMMIT, _CHANGED = "iskpo.commit", "(with changes)"


@dataclass(frozen=True)
class Reusable:
    """A trial of this study that another one has trained.

    Attributes:
        trial: This study's.
        source: The other study's folder.
        run_id: The other study's run.
        untrained: The run of it that judged the untrained model, where this trial is to and the other did not; else "".
    """

    trial: TrialPlan
    source: Path
    run_id: str
    untrained: str = ""

    def copy_into(
        self, output: Path, *, experiment_id: str, name: str, tags: Mapping[str, str], params: Mapping[str, Any]
    ) -> str:
        """Write the run into a study's store, with its files; arguments are as of `copy_run`.

        Files are hard links where they can be: neither study needs the other's folder, nor twice the disk.
        """
        link = f"{self.source.resolve()}, run {self.run_id}"
        words = f"Trained by another study, and taken over from there: {link}."
        run = copy_run(
            output,
            source=self.source,
            run_id=self.run_id,
            more={self.untrained: UNTRAINED} if self.untrained else {},
            experiment_id=experiment_id,
            name=name,
            tags={**tags, "iskpo.taken_from": link, MLFLOW_RUN_NOTE: words},
            params=params,
        )
        to = artifact_folder(output, run)
        shutil.copytree(artifact_folder(self.source, self.run_id), to, copy_function=_link)
        if self.untrained:
            (to / "samples").mkdir(exist_ok=True)
            _link(_untrained_samples(self.source, self.untrained), _untrained_samples(output, run))
        return run


def _link(source: str | Path, to: str | Path) -> None:
    try:
        os.link(source, to)
    except OSError:  # Another file system.
        shutil.copy2(source, to)


def _untrained_samples(source: Path, run_id: str) -> Path:
    return artifact_folder(source, run_id) / "samples" / f"{UNTRAINED_SAMPLES}.parquet"


def reusable_trials(*, source: Path, study: Study, profile: Profile, plan: list[TrialPlan]) -> list[Reusable]:
    """The trials of a plan that another study has trained to their end.

    Args:
        source: The other study's folder.
        study: The study.
        profile: Its profile.
        plan: Its trials.

    Raises:
        UserError: There is none, with the reason.
    """
    if study.trial.is_replay or study.space.is_adaptive:
        raise UserError("--reuse takes over trials that are planned and train: this study has none")
    require_study(source)
    run, runs = latest_study(source)
    file = recorded_study_file(source)
    theirs = load_study(file, begun=True)
    if run is None or (reasons := _differences(source, run, theirs, study, profile)):
        raise UserError(f"--reuse {source}: its trials are not this study's: {'; '.join(reasons)}")
    planned = {trial.key: trial for trial in listed_trials(theirs)}
    trained = {
        (planned[key].arm.parameters, planned[key].seed): found
        for key, found in runs.items()
        if found.state == "finished" and not found.same_as and key in planned
    }
    judged = {
        planned[key].seed: found.run_id
        for key, found in runs.items()
        if key in planned and _untrained_samples(source, found.run_id).is_file()
    }
    there = []
    for trial in plan:
        if (found := trained.get((trial.arm.parameters, trial.seed))) is None:
            continue
        lacks = trial.untrained and not _untrained_samples(source, found.run_id).is_file()
        if not lacks or trial.seed in judged:
            there.append(Reusable(trial, source, found.run_id, judged[trial.seed] if lacks else ""))
    if not there:
        raise UserError(f"--reuse {source}: none of its finished trials has an arm and a seed of this study")
    return there


def _differences(source: Path, run: RecordedRun, theirs: Study, study: Study, profile: Profile) -> list[str]:
    """Why no trial of one study can be one of the other's, in words."""
    pairs = {
        "profile": (kept_profile(source), profile.name),
        "ray.gpus_per_trial": (theirs.ray.gpus_per_trial, study.ray.gpus_per_trial),
        **{name: (getattr(theirs, name), getattr(study, name)) for name in _SAME},
    }
    here = environment_tags()
    names = sorted(name for name in {*here, *run.tags} if name.startswith("iskpo.version.") or name == _COMMIT)
    pairs |= {name.removeprefix("iskpo."): (run.tags.get(name), here.get(name)) for name in names}
    found = [f"{name} is {before} there and {now} here" for name, (before, now) in pairs.items() if before != now]
    if not found and (here.get(_COMMIT) or "").endswith(_CHANGED):
        found.append(f"both ran at the commit {here[_COMMIT]}, and whether the same ones cannot be told")
    return found
