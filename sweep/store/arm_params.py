"""The parameters that MLflow keeps of an arm, and of a study's trials together."""

from dataclasses import asdict
from typing import Any

from sweep.arms.arm import Arm
from sweep.profiles.profile import Profile
from sweep.study.study import Study


def arm_params(arm: Arm) -> dict[str, Any]:
    """An arm's parameters by name: the filter's where the loss has one, the bounds on the ratio where it has those.

    A prediction that there is not, for want of a filter, is ``none``: it is looked for in every run.
    """
    params: dict[str, Any] = {"loss": arm.loss, "dynamic_sampling": arm.dynamic_sampling}
    if arm.advantage is not None:
        params["advantage"] = arm.advantage
    if arm.filter is None:
        bounds = arm.clip_bounds
        params |= {"clip_low": bounds[0], "clip_high": bounds[1]} if bounds else {}
        return params | {"predicted_gain": "none", "predicted_threshold": "none"}
    return (
        params
        | asdict(arm.filter)
        | {"predicted_gain": arm.predicted_gain, "predicted_threshold": arm.predicted_threshold}
    )


def shared_params(study: Study, profile: Profile) -> dict[str, Any]:
    """Parameters that every trial of a study has in common."""
    exactly = {"matching": study.eval.matching} if study.eval.matching != "equivalent" else {}
    return {"profile": profile.name, "steps": study.steps, "eval_samples": study.eval.samples, **exactly}
