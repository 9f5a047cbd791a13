"""The verl settings that an arm's loss, advantage and sampling stand for."""

from typing import Any

from sweep.arms.arm import Arm
from sweep.arms.losses import ACTOR, ISKPO, NEIGHBOURS


def clip_bounds(arm: Arm) -> tuple[float, float] | None:
    """The bounds on the ratio that a neighbour's arm trains with; None for those without, and for IS-KPO's own."""
    if arm.loss == ISKPO or (usual := NEIGHBOURS[arm.loss].clip) is None:
        return None
    return (
        usual[0] if arm.clip_low is None else arm.clip_low,
        usual[1] if arm.clip_high is None else arm.clip_high,
    )


def loss_settings(arm: Arm) -> dict[str, Any]:
    """verl settings of an arm's loss, advantage and sampling, but for the filter's; empty for a plain IS-KPO arm."""
    settings: dict[str, Any] = {}
    if arm.loss != ISKPO:
        neighbour = NEIGHBOURS[arm.loss]
        settings = {
            f"{ACTOR}.policy_loss.loss_mode": neighbour.loss_mode,
            f"{ACTOR}.loss_agg_mode": neighbour.aggregation,
            **neighbour.settings,
        }
        if (bounds := clip_bounds(arm)) is not None:
            settings |= {f"{ACTOR}.clip_ratio_low": bounds[0], f"{ACTOR}.clip_ratio_high": bounds[1]}
    if arm.advantage is not None:
        settings["algorithm.adv_estimator"] = arm.advantage
    if arm.dynamic_sampling:
        settings |= {"algorithm.filter_groups.enable": True, "algorithm.filter_groups.metric": "reward"}
    return settings
