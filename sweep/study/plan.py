"""The trials that a study's arms and seeds become."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sweep.arms.arm import Arm
from sweep.arms.twins import family
from sweep.input.errors import UserError

if TYPE_CHECKING:
    from sweep.study.study import Study


@dataclass(frozen=True)
class TrialPlan:
    """One training run: an arm with a seed.

    Attributes:
        key: Unique in its study, the same every time it is planned, and safe as a folder name.
        arm: The arm.
        seed: Seed of data order and sampling; arms share seeds, so they see the same prompts in the same order.
        untrained: Whether it also evaluates the model before it trains, for all trials of its seed.
    """

    key: str
    arm: Arm
    seed: int
    # No part of what a trial is: which of a seed's trials does it may change when a study grows.
    untrained: bool = field(default=False, compare=False)


def plan_trials(study: "Study") -> list[TrialPlan]:
    """All trials of a study, breadth first: every arm's first seed comes before any arm's second.

    Among the trials of a seed, arms that need a slot of their own settings stand together, so that few slots start; and
    of arms that differ in kappa alone the largest comes first, since it may turn out to be the others too
    (`sweep.arms.twins`).

    Raises:
        UserError: The study's space is adaptive (`sweep.search_spaces.AdaptiveSpace`).

    >>> from sweep.study.study import Study
    >>> space = {"kind": "grid", "q": [1e-6], "v": [1.0], "kappa": [1.0, 3.0]}
    >>> [trial.key for trial in plan_trials(Study(name="example", space=space, seeds=2, steps=1))]
    ['Q1e-06_V1_k3_s0', 'Q1e-06_V1_k1_s0', 'Q1e-06_V1_k3_s1', 'Q1e-06_V1_k1_s1']
    """
    if study.space.is_adaptive:
        raise UserError("the arms of this study are chosen while it runs: there is no list of its trials beforehand")
    arms = _in_order(_falling(study.arms) if study.twins == "record" else study.arms)
    return [
        TrialPlan(key=trial_key(arm, seed), arm=arm, seed=seed, untrained=evaluates_untrained(study) and not place)
        for seed in study.seeds
        for place, arm in enumerate(arms)
    ]


def evaluates_untrained(study: "Study") -> bool:
    """Whether the first arm's trials evaluate the untrained model."""
    return study.eval.untrained and not study.trial.is_replay


def _falling(arms: Sequence[Arm]) -> list[Arm]:
    """The arms with falling kappa within each family, at the places where the family's stand."""
    families: dict[tuple[Any, ...], list[Arm]] = {}
    for arm in arms:
        families.setdefault(family(arm), []).append(arm)
    falling = {
        key: iter(sorted(members, key=lambda arm: arm.kappa, reverse=True)) if len(members) > 1 else iter(members)
        for key, members in families.items()
    }
    return [next(falling[family(arm)]) for arm in arms]


def _in_order(arms: Sequence[Arm]) -> list[Arm]:
    slots: dict[str, list[Arm]] = {}
    for arm in arms:
        slots.setdefault(str(sorted(arm.slot_settings.items())), []).append(arm)
    return [arm for group in slots.values() for arm in group]


def trial_key(arm: Arm, seed: int) -> str:
    """The key of an arm's trial with a seed."""
    return f"{arm.name}_s{seed}"


def listed_trials(study: "Study") -> list[TrialPlan]:
    """As `plan_trials`; of an adaptive space none, since there is no list of them beforehand."""
    return [] if study.space.is_adaptive else plan_trials(study)


def number_of_trials(study: "Study") -> int:
    """How many trials a study has when every arm has been tried with every seed."""
    return int(study.space.size()) * len(study.seeds)
