"""``iskpo-sweep plan``: what a study would run, and its cost."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.commands.arguments import ProfileName, StudyFile, study_and_profile
from sweep.input.errors import UserError

if TYPE_CHECKING:
    from sweep.profiles.profile import Profile


def plan(
    study_file: StudyFile,
    profile: ProfileName = None,
    like: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Estimate the cost from the times of a study that has run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; null stands for no clipping.")] = False,
) -> None:
    """Show every trial of a study with its predicted gain and threshold, what it can tell and cost; start nothing."""
    from sweep.commands.cost_estimate import checkpoints_gb, checkpoints_in_words, estimate_cost
    from sweep.commands.plan_view import show_adaptive_plan, show_plan
    from sweep.commands.power_estimate import estimate_power
    from sweep.store.plan_file import plan_as_json
    from sweep.study.plan import listed_trials

    study, chosen = study_and_profile(study_file, profile, needs_device=False)
    plan = listed_trials(study)
    requested = profile or study.profile
    cost = estimate_cost(study=study, profile=chosen, like=like)
    power = estimate_power(study=study, profile=chosen)
    if as_json:
        values = plan_as_json(plan=plan, study=study, profile=chosen, requested_profile=requested)
        values["power"] = None if power is None else power.as_json()
        values["cost"] = None if cost is None else cost.as_json()
        values["checkpoints_gb"] = checkpoints_gb(study, chosen)
        typer.echo(json.dumps(values, indent=2, allow_nan=False))
    else:
        if study.space.is_adaptive:
            show_adaptive_plan(study=study, profile=chosen, requested_profile=requested)
        else:
            show_plan(plan=plan, study=study, profile=chosen, requested_profile=requested)
        for line in (
            "" if power is None else str(power),
            checkpoints_in_words(study, chosen),
            "" if cost is None else str(cost),
            "" if study.trial.is_replay else _before_it_can_run(chosen),
        ):
            if line:
                typer.echo(line)


def _before_it_can_run(profile: "Profile") -> str:
    """What has to be fetched first, in a sentence; "" for nothing."""
    from sweep.tasks.registry import check_model

    try:
        check_model(profile.model)
    except UserError as error:
        return f"Before it can run: {error}"
    return ""
