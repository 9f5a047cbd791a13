"""The study file: what a researcher writes, checked before anything starts.

`sweep.study.study_fields` has the keys, each with its own range. Here they are checked against one another, and each
failure has the place in the file that it is about.
"""

import operator
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationInfo, model_validator

from iskpo.verl.names import SAMPLES_OF_PROMPT
from sweep.arms.arm import Arm
from sweep.arms.losses import ADVANTAGE_ESTIMATOR, single_sample_problem
from sweep.arms.objectives import SMOOTHNESS
from sweep.input.schema_errors import Place, is_begun, located_errors, validate
from sweep.input.yaml_source import load_yaml
from sweep.search_spaces import AdaptiveSpace, OptunaSpace, SearchSpace
from sweep.study.early_stopping import EarlyStopping, Metric
from sweep.study.study_fields import MAXIMUM_TRIALS, StudyFields
from sweep.study.trial_kind import arm_problem

_Made = TypeVar("_Made")


class Study(StudyFields):
    """A study: which arms, with which seeds, for how long."""

    @model_validator(mode="after")
    def _check_arms(self, information: ValidationInfo) -> "Study":
        size = _made_by_space(self, lambda: operator.index(self.space.size()))
        if (trials := size * len(self.seeds)) > MAXIMUM_TRIALS:
            message = f"{size:,} arms with {len(self.seeds):,} seeds are {trials:,} trials"
            raise located_errors(self, [(("space",), f"{message}; the most is {MAXIMUM_TRIALS:,}")])
        if found := _made_by_space(self, lambda: self.space.problems(defaults=self.defaults)):
            raise located_errors(self, [(("space", *where), message) for where, message in found])
        if isinstance(self.space, OptunaSpace) and not is_begun(information) and (excess := self.space.excess()):
            raise located_errors(self, [(("space", "trials"), excess)])
        if isinstance(self.space, AdaptiveSpace):
            arms = self.space.corners(defaults=self.defaults)
            found = _problems_of_arms(arms, lambda index: ("space", "parameters"), self.overrides)[:3]
        else:
            arms, places = _made_by_space(self, lambda: _arms_and_places(self))
            found = _problems_of_arms(arms, places.__getitem__, self.overrides) + _repeated_arms(arms, places)
            if self.trial.is_replay:
                found += [
                    (where, f"arm {arm.name}: {why}")
                    for where, arm in zip(places, arms, strict=True)
                    if (why := arm_problem(arm))
                ]
        if not is_begun(information):
            found += _single_samples(self, arms)
        if self.registered is not None:
            listed = None if isinstance(self.space, AdaptiveSpace) else [arm.name for arm in arms]
            found += [(("registered", *where), message) for where, message in self.registered.problems(arms=listed)]
        if found:
            raise located_errors(self, found)
        return self

    @model_validator(mode="after")
    def _check_kind_of_trial(self) -> "Study":
        found = [(("trial", *where), message) for where, message in self.trial.problems()]
        found += [(("budget", *where), message) for where, message in (self.budget.problems() if self.budget else [])]
        objectives = self.space.objective if isinstance(self.space, OptunaSpace) else ()
        if self.trial.is_replay:
            found += _not_of_a_replay(self, objectives)
        else:
            found += [
                (("space", "objective"), f"{name} is measured by a replay alone: add trial: {{kind: replay, ...}}")
                for name in objectives
                if name in SMOOTHNESS
            ]
        if self.early_stopping is not None:
            found += _early_stopping_problems(self, self.early_stopping, objectives)
        if found:
            raise located_errors(self, found)
        return self

    @property
    def compared_early(self) -> Metric:
        """The metric that early stopping compares."""
        assert self.early_stopping is not None
        return _metric_compared_early(self.early_stopping, self.space)


def load_study(path: Path, *, begun: bool = False) -> Study:
    """Read and check a study file.

    Args:
        path: The file.
        begun: Whether it was run before: what versions since then refuse is taken, since its results would be lost.

    Raises:
        UserError: Anything wrong with it, all at once, each with file, line, key and the nearest valid key or value.
    """
    return validate(Study, load_yaml(path), begun=begun)


def _metric_compared_early(stopping: EarlyStopping, space: SearchSpace) -> Metric:
    """What trials are compared by: what the study says, or its only objective."""
    if stopping.metric is not None:
        return stopping.metric
    only: Any = space.objective[0] if isinstance(space, OptunaSpace) else "accuracy"
    return cast(Metric, only)


def _single_samples(study: StudyFields, arms: list[Arm]) -> list[tuple[Place, str]]:
    """One sample a prompt, by an override or an arm's own, where its advantages compare the samples of a prompt."""
    asked = {key.lstrip("+"): (key, value) for key, value in study.overrides.items()}
    key, samples = asked.get(SAMPLES_OF_PROMPT, ("", None))
    _, usual = asked.get(ADVANTAGE_ESTIMATOR, ("", "grpo"))
    for arm in arms:
        own = arm.verl_settings().get(SAMPLES_OF_PROMPT)
        if problem := single_sample_problem(samples=own or samples, estimator=arm.advantage or usual):
            return [(("space",) if own else ("overrides", key), f"{problem} (arm {arm.name})")]
    return []


def _not_of_a_replay(study: StudyFields, objectives: tuple[str, ...]) -> list[tuple[Place, str]]:
    """Keys that mean nothing where recorded log ratios are filtered and nothing is trained."""
    found: list[tuple[Place, str]] = []
    if "accuracy" in objectives:
        message = "a replay has no accuracy, since the policy does not move: leave it out"
        found.append((("space", "objective"), message))
    if len(study.seeds) > 1:
        found.append((("seeds",), "a replay has no randomness that seeds could vary: leave this key out"))
    if study.early_stopping is not None:
        found.append((("early_stopping",), "a replay has no steps after which it could be ended"))
    if study.ray.gpus_per_trial is not None:
        found.append((("ray", "gpus_per_trial"), "a replay takes no GPU: leave this key out"))
    if study.checkpoint is not None:
        found.append((("checkpoint",), "a replay has nothing to save: leave this key out"))
    if study.overrides:
        found.append((("overrides",), "a replay does not run verl: leave this key out"))
    if isinstance(study.space, AdaptiveSpace):
        why = {arm_problem(arm): None for arm in study.space.corners(defaults=study.defaults)}
        found += [(("space", "parameters"), message) for message in why if message]
    return found


def _early_stopping_problems(
    study: StudyFields, stopping: EarlyStopping, objectives: tuple[str, ...]
) -> list[tuple[Place, str]]:
    """What keeps trials from being compared before they end."""
    if len(objectives) > 1:
        message = f"needs one objective to compare trials by; space.objective names {', '.join(objectives)}"
        return [(("early_stopping",), message)]
    found: list[tuple[Place, str]] = []
    if stopping.after >= study.steps:
        found.append((("early_stopping", "after"), f"must be below steps = {study.steps}, got {stopping.after}"))
    if _metric_compared_early(stopping, study.space) == "accuracy" and (
        study.eval.every is None or study.eval.every >= study.steps
    ):
        message = (
            "accuracy is known after evaluations alone, and eval.every asks for none before the last step; "
            "set it, or metric: reward"
        )
        found.append((("early_stopping", "metric"), message))
    return found


def _arms_and_places(study: StudyFields) -> tuple[list[Arm], list[Place]]:
    """The arms of a space with a list of them, and the place of each; the space may be a user's own."""
    arms = study.arms
    if not all(isinstance(arm, Arm) for arm in arms):
        raise TypeError("to_arms must return a list of Arm")
    if len(arms) != study.space.size():
        raise ValueError(f"to_arms returns {len(arms)} arms, and size says {study.space.size()}")
    return arms, [("space", *study.space.location(index)) for index in range(len(arms))]


def _made_by_space(study: StudyFields, make: Callable[[], _Made]) -> _Made:
    """What a space makes; an error in a user's own space becomes a message, and one in ours stays what it is."""
    try:
        return make()
    except Exception as error:
        if type(study.space).__module__.startswith("sweep."):
            raise
        message = f"{type(study.space).__name__} fails: {type(error).__name__}: {error}"
        raise located_errors(study, [(("space",), message)]) from None


def _problems_of_arms(
    arms: list[Arm], place: Callable[[int], Place], overrides: dict[str, Any]
) -> list[tuple[Place, str]]:
    """What is wrong with each arm by itself, and what overrides would be lost on it."""
    found: list[tuple[Place, str]] = []
    lost: dict[str, str] = {}
    for index, arm in enumerate(arms):
        found += [(place(index), f"arm {arm.name}: {message}") for message in arm.problems()]
        for key in arm.loss_settings().keys() & {key.lstrip("+"): None for key in overrides}.keys():
            lost.setdefault(key, arm.name)
    for key in overrides:
        if (name := lost.get(key.lstrip("+"))) is not None:
            found.append((("overrides", key), f"arm {name} sets it, by its loss, clip_low, clip_high or advantage"))
    return found


def _repeated_arms(arms: list[Arm], places: list[Place]) -> list[tuple[Place, str]]:
    """Arms that share a name, or everything but the name."""
    found: list[tuple[Place, str]] = []
    by_name, by_parameters = defaultdict(list), defaultdict(list)
    for where, arm in zip(places, arms, strict=True):
        # Folder names, on file systems that take upper and lower case for the same.
        by_name[arm.name.lower()].append((where, arm))
        by_parameters[arm.parameters].append((where, arm))
    for (_, first), *others in by_name.values():
        found += [(where, f"two arms are called {first.name!r}; each needs a name of its own") for where, _ in others]
    for (_, first), *others in by_parameters.values():
        found += [
            (where, f"arms {first.name!r} and {arm.name!r} have the same parameters; keep one of them")
            for where, arm in others
            if arm.name.lower() != first.name.lower()
        ]
    return found
