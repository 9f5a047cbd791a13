"""A study and its arms written down: as the JSON that `plan --json` prints and plan.json holds, and as parameters.

`sweep.store.study_folder.read_plan` reads it back.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sweep.arms.arm import Arm
from sweep.arms.paper import note, paper_arm
from sweep.profiles.profile import Profile, describe_choice
from sweep.search_spaces import AdaptiveSpace, OptunaSpace
from sweep.store.study_folder import PLAN_FILE
from sweep.study.plan import TrialPlan
from sweep.study.study import Study


def keep_plan(
    *,
    output: Path,
    study: Study,
    plan: list[TrialPlan],
    profile: Profile,
    requested_profile: str | None = None,
) -> None:
    """Write what is going to run beside the study file."""
    asked = requested_profile or study.profile
    planned = plan_as_json(study=study, plan=plan, profile=profile, requested_profile=asked)
    # Trials that are chosen while the study runs are in MLflow, one after another, and nowhere beforehand.
    planned = {**planned, "trials": planned.get("trials", [])}
    (output / PLAN_FILE).write_text(json.dumps(planned, indent=1, allow_nan=False), encoding="utf-8")


def plan_as_json(*, study: Study, plan: list[TrialPlan], profile: Profile, requested_profile: str) -> dict[str, Any]:
    """What is going to run, as JSON-ready values: a list of trials, or how they are chosen while the study runs.

    null stands for infinity, no clipping, where the loss is iskpo, for what there is not with other losses, and for a
    threshold that follows from data.
    """
    values = {
        "study": study.name,
        "question": study.question,
        "profile": profile.name,
        "profile_choice": describe_choice(requested=requested_profile, profile=profile),
        "steps": study.steps,
        "eval_samples": study.eval.samples,
        "twins": study.twins,
    }
    if study.space.is_adaptive:
        return {**values, "adaptive": _search_as_json(study)}
    return {**values, "matching": study.eval.matching, "trials": [_trial_as_json(trial) for trial in plan]}


def _trial_as_json(trial: TrialPlan) -> dict[str, Any]:
    arm = trial.arm
    return {
        "key": trial.key,
        "arm": arm.name,
        "seed": trial.seed,
        "loss": arm.loss,
        "advantage": arm.advantage,
        "dynamic_sampling": arm.dynamic_sampling,
        "clip_bounds": arm.clip_bounds,
        "settings": dict(arm.settings),
        **{name: _finite(getattr(arm, name)) for name in ("q", "v", "kappa", "p0", "rho0", "state_kappa")},
        "gradient": arm.gradient,
        "numerics": arm.numerics,
        "estimator": arm.estimator,
        "predicted_gain": _finite(arm.predicted_gain),
        "predicted_threshold": _finite(arm.predicted_threshold),
        "note": note(arm),
    }


def _search_as_json(study: Study) -> dict[str, Any]:
    space = adaptive_space(study)
    corners = space.corners(defaults=study.defaults)
    return {
        "kind": space.kind,
        "arms": space.trials,
        "seeds": list(study.seeds),
        "trials": space.trials * len(study.seeds),
        "method": method_of(space),
        "objectives": list(space.objective) if isinstance(space, OptunaSpace) else [],
        "parameters": space.ranges(),
        "implied": {name.lower().replace(" ", "_"): list(ends) for name, _, ends in implied_ranges(corners)},
    }


def adaptive_space(study: Study) -> AdaptiveSpace:
    """The space of a study whose arms are chosen while it runs."""
    assert isinstance(study.space, AdaptiveSpace)
    return study.space


def method_of(space: AdaptiveSpace) -> str:
    """How arms are chosen, in words."""
    if not isinstance(space, OptunaSpace):
        return space.kind
    return f"Optuna's {space.sampler}, seed {space.sampler_seed}, for {' and '.join(space.objective)}"


def implied_ranges(corners: list[Arm]) -> list[tuple[str, str, tuple[float, float]]]:
    """Smallest and largest steady-state gain and finite threshold; left out where no arm has any."""
    values = {
        ("Gain", ""): [arm.predicted_gain for arm in corners],
        ("Threshold", " in log-ratio units"): [arm.predicted_threshold for arm in corners],
    }
    finite = {key: [value for value in found if math.isfinite(value)] for key, found in values.items()}
    return [(name, unit, (min(found), max(found))) for (name, unit), found in finite.items() if found]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def arm_params(arm: Arm) -> dict[str, Any]:
    """An arm's parameters by name: the filter's where the loss has one, the bounds on the ratio where it has those, and
    its settings of verl's.

    A prediction that there is not, for want of a filter, is ``none``: it is looked for in every run.
    """
    params: dict[str, Any] = {"loss": arm.loss, "dynamic_sampling": arm.dynamic_sampling}
    params |= {name.lstrip("+"): value for name, value in arm.settings.items()}
    if arm.advantage is not None:
        params["advantage"] = arm.advantage
    if arm.filter is None:
        bounds = arm.clip_bounds
        params |= {"clip_low": bounds[0], "clip_high": bounds[1]} if bounds else {}
        return params | {"predicted_gain": "none", "predicted_threshold": "none"}
    threshold = "none" if arm.threshold_depends_on_data else arm.predicted_threshold
    return params | asdict(arm.filter) | {"predicted_gain": arm.predicted_gain, "predicted_threshold": threshold}


def shared_params(study: Study, profile: Profile) -> dict[str, Any]:
    """Parameters that every trial of a study has in common."""
    exactly = {"matching": study.eval.matching} if study.eval.matching != "equivalent" else {}
    return {"profile": profile.name, "steps": study.steps, "eval_samples": study.eval.samples, **exactly}


def params_of_trials(study: Study, profile: Profile) -> dict[str, Any]:
    """`shared_params`, and which study it is: a trial's run is looked at by itself."""
    return {**shared_params(study, profile), "study": study.name}


def start_of_run(trial: TrialPlan, *, params: dict[str, Any]) -> dict[str, Any]:
    """What the run of a trial that trains begins with, as `StudyTracking.start_trial` takes it.

    Args:
        trial: The trial.
        params: From `params_of_trials`.
    """
    arm = trial.arm
    return {
        "key": trial.key,
        "arm": arm.name,
        "seed": trial.seed,
        "loss": arm.loss,
        "numerics": arm.numerics if arm.has_filter else "none",
        "alias": known.name if (known := paper_arm(arm)) else "",
        "params": {**arm_params(arm), **params},
    }
