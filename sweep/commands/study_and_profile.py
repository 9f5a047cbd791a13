"""The study file and the profile that a command was given, read and checked against each other."""

from pathlib import Path
from typing import TYPE_CHECKING

from sweep.input.errors import UserError

if TYPE_CHECKING:
    from sweep.profiles.profile import Profile
    from sweep.study.study import Study


def study_and_profile(study_file: Path, profile: str | None, *, needs_device: bool = True) -> "tuple[Study, Profile]":
    """The study, and the profile that stands for what it or the command line asks for."""
    from sweep.profiles.batch_sizes import micro_batches
    from sweep.profiles.profile import resolve_profile
    from sweep.study.study import load_study

    study = load_study(study_file)
    # A plan starts nothing, so that a study for a GPU can be looked at without one; and a replay trains nothing.
    chosen = resolve_profile(profile or study.profile, trains=needs_device and not study.trial.is_replay)
    if study.eval.matching != "equivalent" and chosen.task != "maths":
        raise UserError(
            f"{study_file}: eval.matching: {study.eval.matching} is of the mathematics task; profile {chosen.name} has "
            f"the task {chosen.task}: leave it out, or take another profile (tiny-maths, qwen3-...)"
        )
    try:
        micro_batches(
            profile=chosen.verl, overrides=study.overrides, gpus=study.ray.gpus_per_trial or chosen.ray.slot_gpus
        )
    except UserError as error:
        raise UserError(f"{study_file}: {error}") from None
    return study, chosen
