"""Which study a folder is resumed with: the one that was run, or one that adds to it.

MLflow is the only record that a trial finished. A trial that was cut off keeps its run and loses its points, since two
attempts' points at one step would be drawn as one.
"""

import difflib
import shutil
from pathlib import Path

from sweep.input.errors import UserError
from sweep.search_spaces.own import own_files
from sweep.store.mlflow_tables import latest_study
from sweep.store.study_folder import PLAN_FILE, STUDY_FILE, artifact_folder, read_plan
from sweep.study.plan import TrialPlan, plan_trials
from sweep.study.study import Study, load_study

# What --extend may change: everything else decides how the trials that have run were run.
_EXTENDABLE = {"space", "seeds", "question", "slots", "ray", "retries", "budget", "checkpoint"}


def kept_profile(output: Path) -> str:
    """Name of the profile that the study runs with.

    Raises:
        UserError: The folder's plan cannot be read.
    """
    profile = read_plan(output).get("profile")
    if profile is None:
        raise UserError(f"{output / PLAN_FILE} cannot be read: was the study ever started?")
    return str(profile)


def study_to_resume(*, output: Path, study_file: Path | None, extend: bool, retry_failed: bool = False) -> Study:
    """Read the study to go on with, and refuse one that would not fit what has been recorded.

    Args:
        output: The study's folder.
        study_file: A study file in place of the folder's own, or None.
        extend: Accept one that adds arms or seeds; it then becomes the folder's own, and the old one is kept beside it.
        retry_failed: Whether failed trials are to be tried again.

    Raises:
        UserError: The study has changed, with a diff; or has changed in more than arms and seeds; or failed trials
            cannot be tried again.
    """
    recorded_file = recorded_study_file(output)
    chosen_file = study_file or output / STUDY_FILE
    recorded, chosen = load_study(recorded_file, begun=True), load_study(chosen_file, begun=study_file is None)
    if retry_failed and recorded.space.is_adaptive:
        raise UserError(
            "--retry-failed: Optuna has chosen other arms since, knowing that these failed; leave it out "
            "(`retries` in the study says how often a trial is tried again before it counts as failed)"
        )
    if chosen == recorded:
        return recorded
    diff = _diff(recorded_file, chosen_file) or f"{chosen.space.kind}: what is in this file has changed"
    if not extend:
        raise UserError(
            f"the study has changed since it was run; --extend accepts more arms or seeds, and nothing else\n{diff}"
        )
    changed = sorted(
        name
        for name in Study.model_fields
        if name not in _EXTENDABLE and getattr(chosen, name) != getattr(recorded, name)
    )
    if changed:
        raise UserError(f"--extend adds arms or seeds, but these have changed: {', '.join(changed)}\n{diff}")
    if recorded.space.is_adaptive or chosen.space.is_adaptive:
        _refuse_another_search(recorded, chosen, diff)
    elif missing := _not_in(plan_trials(recorded), plan_trials(chosen)):
        raise UserError(
            f"--extend adds arms or seeds, but {len(missing)} trials are gone or differ: {', '.join(missing)}\n{diff}"
        )
    _replace_study_file(output, chosen_file)
    return chosen


def recorded_study_file(output: Path) -> Path:
    """The study file as MLflow has it: the folder's own may have been edited.

    Raises:
        UserError: MLflow has none.
    """
    study, _ = latest_study(output)
    path = artifact_folder(output, study.run_id) / "study" / STUDY_FILE if study else output
    if not path.is_file():
        raise UserError(f"{output} has no recorded study file: the study ended before it began; run it again")
    return path


def _refuse_another_search(recorded: Study, chosen: Study, diff: str) -> None:
    """Optuna's choices follow from all of the search but its length, and an arm's result from all of its seeds."""
    longer = (
        type(chosen.space) is type(recorded.space)
        and chosen.space.model_copy(update={"trials": getattr(recorded.space, "trials", None)}) == recorded.space
    )
    if not longer or chosen.space.size() < recorded.space.size() or chosen.seeds != recorded.seeds:
        raise UserError(f"of a study whose arms Optuna chooses, --extend takes more space.trials alone\n{diff}")


def _not_in(before: list[TrialPlan], after: list[TrialPlan]) -> list[str]:
    same = {trial.key: trial for trial in after}
    return [trial.key for trial in before if same.get(trial.key) != trial]


def _diff(before: Path, after: Path) -> str:
    lines = difflib.unified_diff(
        before.read_text(encoding="utf-8").splitlines(),
        after.read_text(encoding="utf-8").splitlines(),
        "as it was run",
        str(after),
        lineterm="",
        n=1,
    )
    return "\n".join(lines)


def _replace_study_file(output: Path, chosen: Path) -> None:
    text = chosen.read_bytes()
    number = 1 + len(list(output.glob("study.before_extension_*.yaml")))
    shutil.copyfile(recorded_study_file(output), output / f"study.before_extension_{number}.yaml")
    (output / STUDY_FILE).write_bytes(text)
    keep_own_files(study_file=chosen, study=load_study(chosen, begun=True), output=output)


def keep_own_files(*, study_file: Path, study: Study, output: Path) -> None:
    """Copy what the study's search space is read from, if anything, beside the folder's study file."""
    for path in own_files(space=study.space, folder=study_file.parent):
        if path.resolve() != (output / path.name).resolve():
            shutil.copyfile(path, output / path.name)
