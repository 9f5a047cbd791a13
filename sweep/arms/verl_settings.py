"""Which of verl's settings a study may change, for all of its arms or from arm to arm, and short names for the usual.

A slot that is warm takes over a setting with a short name in place: a test holds a warm trial to a cold one for each.
Any other gets a fresh slot (`Arm.slot_settings`). Either way it is echoed from where it acts (`iskpo.verl.names`).
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from iskpo.verl.names import (
    LEARNING_RATE,
    MINI_BATCH,
    OUTSIDE_SHARE,
    OVERLONG_BUFFER,
    RATIO_HIGH,
    RATIO_LOW,
    ROLLOUT_BOUNDS,
    ROLLOUT_BYPASS,
    ROLLOUT_WEIGHTS,
    SAMPLES_OF_PROMPT,
    TEMPERATURE,
)
from sweep.input.errors import did_you_mean

Value = str | bool | int | float

_OWN_FOLDER = "trials keep their files under the study's output folder"
# What neither `overrides` nor an arm may set, and what to do instead: it follows from other keys of the study, or
# iskpo-sweep needs it as it is, or it would change nothing. A trailing dot means everything below.
RESERVED = {
    "actor_rollout_ref.actor.checkpoint.": "a trial goes on from all of it: set checkpoint.every in the study",
    "actor_rollout_ref.actor.clip_ratio": "set clip, or eps_low and eps_high, of an arm",
    "actor_rollout_ref.actor.data_loader_seed": "set seeds in the study",
    "actor_rollout_ref.actor.optim.total_training_steps": "set steps in the study",
    "actor_rollout_ref.actor.policy_loss.": "set loss, q, v, kappa, p0, rho0, gradient and so on in the study",
    "actor_rollout_ref.model.path": "the profile's task prepares the model",
    "actor_rollout_ref.rollout.val_kwargs.n": "set eval.samples in the study",
    "critic.": "none of the advantage estimators here trains a critic, so it would change nothing",
    "data.seed": "set seeds in the study",
    "data.train_files": "the profile's task prepares the data",
    "data.val_files": "the profile's task prepares the data",
    "ray_kwargs.": "set ray in the study",
    "reward.custom_reward_function.": "the profile's task brings its reward",
    "trainer.default_local_dir": _OWN_FOLDER,
    "trainer.device": "choose another profile",
    "trainer.experiment_name": "trials are named by arm and seed",
    "trainer.logger": "iskpo-sweep records to MLflow itself",
    "trainer.n_gpus_per_node": "set ray.gpus_per_trial in the study",
    "trainer.nnodes": "set ray.gpus_per_trial in the study, whose GPUs are of one node",
    "trainer.project_name": "set name in the study",
    "trainer.resume_from_path": "iskpo-sweep decides what is resumed",
    "trainer.resume_mode": "iskpo-sweep decides what is resumed",
    "trainer.save_freq": "set checkpoint.every in the study",
    "trainer.test_freq": "set eval.every in the study",
    "trainer.trace_folder": _OWN_FOLDER,
    "trainer.trace_megabytes": "set traces.megabytes in the study",
    "trainer.total_epochs": "set steps in the study",
    "trainer.total_training_steps": "set steps in the study",
    "trainer.val_before_train": "set eval.untrained in the study",
    "trainer.validation_data_dir": _OWN_FOLDER,
}
_PLACEMENT = "where a trial's processes run makes no arm: set it in overrides, for all arms"
# What `overrides` may set and an arm may not.
_RESERVED_OF_ARMS = {
    "actor_rollout_ref.rollout.data_parallel_size": _PLACEMENT,
    "actor_rollout_ref.rollout.pipeline_model_parallel_size": _PLACEMENT,
    "actor_rollout_ref.rollout.tensor_model_parallel_size": _PLACEMENT,
    "actor_rollout_ref.rollout.val_kwargs.": "arms are judged alike: set it in overrides, for all arms",
    "algorithm.adv_estimator": "set advantage of an arm (kind: arms or optuna)",
    "algorithm.filter_groups.": "set dynamic_sampling of an arm (kind: arms)",
    "transfer_queue.": _PLACEMENT,
}


@dataclass(frozen=True)
class ShortName:
    """A name for one setting of verl's, or for several.

    Attributes:
        keys: Dotted verl keys.
        meaning: What it is, for the reference.
        lowest: Smallest value.
        above: Whether `lowest` itself is too small.
        whole: Whether it is a whole number.
        below: What the value must stay below.
        off: Whether it may be ``false``, for which verl's keys get 0.
        words: Of a setting that is a word, or false: what each stands for, a value for each of the keys.
    """

    keys: tuple[str, ...]
    meaning: str
    lowest: float = 0.0
    above: bool = True
    whole: bool = False
    below: float = math.inf
    off: bool = False
    words: Mapping[str | bool, tuple[Value | None, ...]] = field(default_factory=dict)


SHORT_NAMES: dict[str, ShortName] = {
    "lr": ShortName((LEARNING_RATE,), "learning rate", above=False),
    "eps_low": ShortName((RATIO_LOW,), "lower bound of the importance ratio, as its distance from 1"),
    "eps_high": ShortName((RATIO_HIGH,), "upper bound of the importance ratio, as its distance from 1"),
    "clip": ShortName(
        (RATIO_LOW, RATIO_HIGH), "both bounds of the importance ratio; false for the unclipped objective", off=True
    ),
    "outside_share": ShortName(
        (OUTSIDE_SHARE,),
        "share of tokens that the bounds leave outside: these follow the filtered ratios of the step before",
        below=1.0,
    ),
    "samples_per_prompt": ShortName((SAMPLES_OF_PROMPT,), "answers to each prompt", lowest=1, above=False, whole=True),
    "mini_batch": ShortName((MINI_BATCH,), "prompts of one update of the policy", lowest=1, above=False, whole=True),
    "temperature": ShortName((TEMPERATURE,), "temperature at which training answers are sampled"),
    "overlong_buffer": ShortName(
        (OVERLONG_BUFFER,),
        "tokens before the longest response over which the reward falls by 1 (DAPO's overlong punishment); 0: none",
        above=False,
        whole=True,
    ),
    "rollout_correction": ShortName(
        (ROLLOUT_WEIGHTS, ROLLOUT_BOUNDS, ROLLOUT_BYPASS),
        "what is done about the policy that sampled differing from the one that trains",
        # The bounds are those of the sources in docs/arms.md.
        words={
            False: (None, 2.0, False),
            "token_tis": ("token", 2.0, False),
            "sequence_tis": ("sequence", 2.0, False),
            "icepop": ("token", "0.5_5.0", False),
            "bypass": (None, 2.0, True),
        },
    ),
}
_NAME_OF = {short.keys[0]: name for name, short in SHORT_NAMES.items() if len(short.keys) == 1}
IN_PLACE = frozenset(key for short in SHORT_NAMES.values() for key in short.keys)


def is_setting(name: Any) -> bool:
    """Whether a key of a search space stands for a setting of verl's: it is a short name, or has a dot.

    >>> is_setting("lr"), is_setting("actor_rollout_ref.actor.grad_clip"), is_setting("kappa")
    (True, True, False)
    """
    return isinstance(name, str) and (name in SHORT_NAMES or "." in name)


def key_problem(key: str, *, of_arm: bool) -> str | None:
    """Why a study may not set a dotted verl key, with what to set instead or the nearest that verl has; or None.

    Args:
        key: May begin with "+", which adds a key that verl's own configuration does not have.
        of_arm: Whether arms are to differ in it; else it is an override, for all of them.
    """
    plain = key.lstrip("+")
    for reserved, instead in {**RESERVED, **(_RESERVED_OF_ARMS if of_arm else {})}.items():
        name = reserved.rstrip(".")
        if plain == name or plain.startswith(name + ".") or name.startswith(plain + "."):
            return f"iskpo-sweep sets {name} itself: {instead}"
    if not all(part.isidentifier() for part in plain.split(".")):
        return "is not a dotted verl key, such as actor_rollout_ref.actor.optim.lr"
    return None if key.startswith("+") else _unknown(key)


@lru_cache(maxsize=1)
def _defaults() -> Mapping[str, Any]:
    # Hydra takes a second, which a study without a setting of verl's need not wait for.
    from iskpo.verl.composition import default_settings

    return default_settings()


def _unknown(key: str) -> str | None:
    known = _defaults()
    if key in known or any(name.startswith(f"{key}.") for name in known):
        return None
    return f"verl has no setting {key!r}{_nearest(key, known)}; '+{key}' would add one"


def _nearest(key: str, known: Iterable[str]) -> str:
    """The setting that was probably meant: by its whole key, or by its last part, wherever that stands."""
    names = [name for name in known if key_problem(name, of_arm=False) is None]
    whole = difflib.get_close_matches(key, names, n=1, cutoff=0.85)
    leaf = key.rpartition(".")[2]
    same = [name for name in names if name.rpartition(".")[2] == leaf]
    near = whole or difflib.get_close_matches(key, same, n=1, cutoff=0) or difflib.get_close_matches(key, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def value_problem(name: str, value: Any) -> str | None:
    """Why a setting cannot have a value, or None."""
    if not isinstance(value, str | bool | int | float):
        return "must be a number, a word, true or false"
    short = SHORT_NAMES.get(short_name(name))
    if isinstance(value, float) and not math.isfinite(value):
        return "must be finite"
    if short is not None and short.words:
        if isinstance(value, str | bool) and value in short.words:
            return None
        near = did_you_mean(value, map(value_text, short.words)).removeprefix("; ")
        return f"must be a known word ({near})"
    if short is None:
        usual = None if name.startswith("+") else _defaults().get(name)
        if isinstance(usual, bool) and not isinstance(value, bool):
            return f"must be true or false; verl's own is {str(usual).lower()}"
        numeric = isinstance(usual, int | float) and not isinstance(usual, bool)
        # verl writes two bounds as one word, "0.5_5.0".
        if numeric and name != ROLLOUT_BOUNDS and isinstance(value, bool | str):
            return f"must be a number; verl's own is {usual:g}"
        return None
    if value is False and short.off:
        return None
    kind = ("a whole number" if short.whole else "a number") + (", or false" if short.off else "")
    if isinstance(value, bool | str) or (short.whole and value != math.floor(value)):
        return f"must be {kind}"
    if value < short.lowest or (short.above and value == short.lowest):
        return f"must be {'>' if short.above else '>='} {short.lowest:g}"
    return None if value < short.below else f"must be < {short.below:g}"


def name_problem(name: str) -> str | None:
    """Why arms cannot differ in what is called so, or None."""
    if name in SHORT_NAMES:
        return None
    if "." not in name:
        return f"unknown setting{did_you_mean(name, SHORT_NAMES)}"
    return key_problem(name, of_arm=True)


def short_name(name: str) -> str:
    """A setting's short name, where it has one; else the dotted key as it is."""
    return _NAME_OF.get(name.lstrip("+"), name)


def canonical(settings: Mapping[str, Value]) -> dict[str, Value]:
    """Settings under their short names where they have these, whole numbers as such: 4.0 samples are 4.

    Raises:
        ValueError: A value outside its range, or one setting under two names.
    """
    found: dict[str, Value] = {}
    for given, value in settings.items():
        name = short_name(given)
        if problem := (value_problem(name, value) if name in SHORT_NAMES else None) or set_twice(name, found):
            raise ValueError(f"{given}: {problem}")
        found[name] = typed(name, value) if name in SHORT_NAMES else value
    return found


def set_twice(name: str, others: Iterable[str]) -> str | None:
    """That a setting is also set under another name, in words; or None."""
    own = set(verl_keys(name))
    for other in others:
        if own & set(verl_keys(other)):
            return f"{name} and {other} set the same: keep one of them"
    return None


def typed(name: str, value: Value) -> Value:
    """A number as verl's own is, a whole one or not; a sampler makes floats of both."""
    if isinstance(value, bool | str):
        return value
    short = SHORT_NAMES.get(name)
    usual = None if name.startswith("+") or short else _defaults().get(name)
    if isinstance(usual, float) or (short is not None and not short.whole):
        return float(value)
    return int(value) if value == math.floor(value) else float(value)


def verl_keys(name: str) -> tuple[str, ...]:
    """The dotted keys that a name stands for."""
    name = short_name(name)
    return SHORT_NAMES[name].keys if name in SHORT_NAMES else (name,)


def verl_values(name: str, value: Value) -> dict[str, Value | None]:
    """The dotted keys that a name stands for, each with its value; None for what verl calls null."""
    keys, short = verl_keys(name), SHORT_NAMES.get(short_name(name))
    if short is not None and short.words:
        assert isinstance(value, str | bool), "canonical settings have been checked"
        return dict(zip(keys, short.words[value], strict=True))
    # What is turned off by its short name is a number of verl's.
    return dict.fromkeys(keys, 0.0 if value is False and short is not None else value)


def value_text(value: Value) -> str:
    """A value as it stands in study files and in names of arms: ``1e-05``, ``4``, ``true``, ``cosine``."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(float(value)).removesuffix(".0")


def labels(names: Iterable[str]) -> dict[str, str]:
    """A word for each setting that is as short as it can be and still tells them apart.

    >>> labels(["lr", "actor_rollout_ref.actor.grad_clip", "a.optim.betas", "b.optim.betas"])["a.optim.betas"]
    'a.optim.betas'
    """
    names = list(names)
    found = {}
    for name in names:
        parts = name.lstrip("+").split(".")
        ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        others = [other.lstrip("+") for other in names if other != name]
        found[name] = next(
            (end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others)), ends[-1]
        )
    return found


def name_part(label: str, value: Value) -> str:
    """What a setting adds to an arm's name, without what no folder's name may hold.

    >>> name_part("lr", 1e-4), name_part("lr_scheduler_type", "co sine")
    ('lr0.0001', 'lr_scheduler_type-co-sine')
    """
    text = value_text(value)
    joined = f"{label}-{text}" if isinstance(value, str) else f"{label}{text}"
    return re.sub(r"[^A-Za-z0-9._+-]", "-", joined)
