"""The study that trains every kind of arm for two steps has every kind."""

from pathlib import Path
from typing import Any, get_args

import pytest

from iskpo.settings import CHOICES, FILTER_KEYS
from sweep.arms.losses import Advantage, Loss
from sweep.arms.verl_settings import SHORT_NAMES
from sweep.search_spaces.arm_list import ArmSpecification
from sweep.study.study import load_study

_STUDY = load_study(Path(__file__).parents[3] / "studies" / "smoke_arms.yaml")
_SETTINGS = [setting for arm in _STUDY.arms for setting in arm.settings.items()]


def _missing(wanted: Any, found: Any) -> list[Any]:
    return sorted(set(wanted) - set(found), key=str)


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_of_the_filter_is_trained(name: str) -> None:
    assert _missing(CHOICES[name], [getattr(arm, name) for arm in _STUDY.arms if arm.has_filter]) == []


def test_every_loss_and_advantage_is_trained() -> None:
    assert _missing(get_args(Loss), [arm.loss for arm in _STUDY.arms]) == []
    assert _missing(get_args(Advantage), [arm.advantage for arm in _STUDY.arms]) == []
    assert any(arm.dynamic_sampling for arm in _STUDY.arms)


def test_every_named_setting_and_each_of_its_words_is_trained() -> None:
    assert _missing(SHORT_NAMES.keys() - {"clip"}, [name for name, _ in _SETTINGS]) == []
    assert ("clip", False) in _SETTINGS
    for name, short in SHORT_NAMES.items():
        assert _missing(short.words, [value for other, value in _SETTINGS if other == name]) == []
    assert any(arm.slot_settings for arm in _STUDY.arms)


def test_every_key_of_an_arm_is_used() -> None:
    """But for what is numbers by the time it is planned."""
    used = {key for entry in _STUDY.space.model_dump()["arms"] for key, value in entry.items() if value is not None}
    assert _missing(ArmSpecification.model_fields, used | {"fitted"}) == []
    assert set(FILTER_KEYS) <= used


def test_all_are_trained_and_none_taken_for_a_twin() -> None:
    assert _STUDY.twins == "train"
    assert _STUDY.steps == 2
