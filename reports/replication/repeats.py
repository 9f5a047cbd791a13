"""Whether a study repeats the paper's experiment, and what it sets that the paper leaves open."""

from typing import Any

from iskpo.verl.names import LEARNING_RATE, SAMPLES_OF_PROMPT
from reports.data.load import StudyRecord
from sweep.arms.verl_settings import labels
from sweep.input.errors import UserError
from sweep.profiles.profile import load_profile

# What section 4.1 of the paper says of a training run; the profile has its model, data, samples and learning rate.
_PROFILE, _STEPS = "qwen3-4b", 16
_SAID = (LEARNING_RATE, SAMPLES_OF_PROMPT)


def repeats_the_paper(*, study: StudyRecord) -> bool:
    """Whether model, task, steps, samples of a prompt and learning rate are the paper's; micro-batches may differ.

    The bounds on the ratio are its too unless an arm sets others, and no arm with settings counts as one of the paper.
    """
    try:
        used, paper = load_profile(study.params.get("profile", "")), load_profile(_PROFILE)
    except UserError:  # The profile that was run may be unknown to the installation that reports on it.
        return False
    ran = {**used.verl, **study.overrides}
    return (
        (used.task, used.model) == (paper.task, paper.model)
        and study.params.get("steps") == str(_STEPS)
        and all(ran[key] == paper.verl[key] for key in _SAID)
    )


def left_open(*, study: StudyRecord) -> str:
    """What the paper does not say, as this study has it, in words: how answers match, and its overrides."""
    settings: dict[str, Any] = study.overrides
    words = labels(settings)
    own = [f"{words[key]} {_text(value)}" for key, value in settings.items()]
    return ", ".join([f"matching {study.params.get('matching', 'equivalent')}", *own])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
