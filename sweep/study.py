"""The study file: what a researcher writes, checked before anything starts."""

import operator
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationInfo,
    model_validator,
)

from sweep.arm_checks import arm_problems
from sweep.budget import Budget
from sweep.cluster import ClusterKeys
from sweep.early_stopping import EarlyStopping, Metric
from sweep.losses import loss_settings
from sweep.nearest import did_you_mean
from sweep.objectives import SMOOTHNESS
from sweep.plan import Arm, Estimator, Gradient, Numerics
from sweep.profiles import AUTO, available_profiles
from sweep.registered import Registered
from sweep.search_spaces import AdaptiveSpace, ArmDefaults, OptunaSpace, Registry, SearchSpace
from sweep.search_spaces.fields import Distinct, InitialLogRatio, InitialVariance, NotEmpty
from sweep.search_spaces.located import Place, located_errors
from sweep.trial_kind import NOT_GIVEN, TrialKind, arm_problem, steps_of

MAXIMUM_TRIALS = 100_000

# Settings of verl that follow from other keys of the study, or that iskpo-sweep needs as they are, with the way to
# change what they stand for. A trailing dot means everything below.
RESERVED_OVERRIDES = {
    "actor_rollout_ref.actor.policy_loss.": "set loss, q, v, kappa, p0, rho0, gradient and so on in the study",
    "actor_rollout_ref.actor.data_loader_seed": "set seeds in the study",
    "actor_rollout_ref.model.path": "the profile's task prepares the model",
    "actor_rollout_ref.rollout.val_kwargs.n": "set eval.samples in the study",
    "data.seed": "set seeds in the study",
    "data.train_files": "the profile's task prepares the data",
    "data.val_files": "the profile's task prepares the data",
    "reward.custom_reward_function.": "the profile's task brings its reward",
    "trainer.default_local_dir": "trials keep their files under the study's output folder",
    "trainer.device": "choose another profile",
    "trainer.experiment_name": "trials are named by arm and seed",
    "trainer.logger": "iskpo-sweep records to MLflow itself",
    "trainer.n_gpus_per_node": "set ray.gpus_per_trial in the study",
    "trainer.nnodes": "set ray.gpus_per_trial in the study, whose GPUs are of one node",
    "trainer.project_name": "set name in the study",
    "trainer.resume_mode": "iskpo-sweep decides what is resumed",
    "trainer.save_freq": "iskpo-sweep decides what is saved",
    "trainer.test_freq": "set eval.every in the study",
    "trainer.trace_folder": "trials keep their files under the study's output folder",
    "trainer.trace_megabytes": "set traces.megabytes in the study",
    "trainer.total_epochs": "set steps in the study",
    "trainer.total_training_steps": "set steps in the study",
    "trainer.val_before_train": "set eval.every in the study",
    "trainer.validation_data_dir": "trials keep their files under the study's output folder",
}


def _seeds(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | list | tuple):
        raise ValueError("must be a number of seeds, such as 3, or a list of seeds, such as [0, 1, 2]")
    if not isinstance(value, int):
        return tuple(value)
    if not 1 <= value <= MAXIMUM_TRIALS:
        raise ValueError(
            f"must be a number of seeds from 1 to {MAXIMUM_TRIALS}; for the one seed {value} write [{value}]"
        )
    return tuple(range(value))


def _profile(value: str) -> str:
    known = [AUTO, *available_profiles()]
    if value not in known:
        raise ValueError(f"unknown profile {value!r}{did_you_mean(value, known)}")
    return value


def _space(value: Any, information: ValidationInfo) -> Any:
    if isinstance(value, SearchSpace):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping with the key kind ({', '.join(Registry.kinds())})")
    if "kind" not in value:
        raise located_errors(value, [(("kind",), f"this key is missing; valid: {', '.join(Registry.kinds())}")])
    try:
        # A user's own file stands where the study file says it does.
        space = Registry.get(value["kind"], folder=(information.context or {}).get("folder"))
    except ValueError as error:
        raise located_errors(value, [(("kind",), str(error))]) from None
    return space.model_validate(value)


def _override(key: str) -> str:
    plain = key.lstrip("+")
    for reserved, instead in RESERVED_OVERRIDES.items():
        name = reserved.rstrip(".")
        if plain == name or plain.startswith(name + ".") or name.startswith(plain + "."):
            raise ValueError(f"iskpo-sweep sets {name} itself: {instead}")
    if not all(part.isidentifier() for part in plain.split(".")):
        raise ValueError("is not a dotted verl key, such as actor_rollout_ref.actor.optim.lr")
    return key


class Evaluation(BaseModel):
    """How trained policies are judged.

    Attributes:
        samples: Generations for every held-out problem, the k of avg@k and pass@k.
        every: Evaluate after every so many steps, and after the last; null for after the last alone.
        matching: When an answer to a mathematics problem is right, for rewards as well: ``equivalent`` to the right
            one, or ``exact``, the same text but for white space, as in the paper.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    samples: Annotated[int, Field(ge=1, le=1024)] = 4
    every: Annotated[int, Field(ge=1)] | None = None
    matching: Literal["equivalent", "exact"] = "equivalent"


class Traces(BaseModel):
    """How much is kept of the log ratios that the loss sees, for `iskpo-sweep replay`.

    Attributes:
        megabytes: Most that one trial's may take, in 10^6 bytes; 0 keeps none. Where all sequences of a step do not
            fit, a random sample of them is kept.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    megabytes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 50.0


class Study(BaseModel):
    """A study: which arms, with which seeds, for how long.

    Attributes:
        name: Names the output folder and the MLflow experiment.
        question: What the study is to answer; stands in MLflow and in the report.
        profile: Model, task and sizes: a name in ``sweep/profiles``, or ``auto``.
        space: Where the arms come from.
        trial: What is done with an arm: training, or a replay of recorded log ratios.
        seeds: A number of seeds n (0 to n - 1), or a list.
        steps: Training steps of a trial; a replay has none.
        eval: How trained policies are judged.
        traces: How much is kept of the log ratios.
        slots: Trials that run side by side.
        ray: The Ray cluster to run on, and the GPUs of a trial.
        retries: How often a trial that failed is tried again before it counts as failed.
        early_stopping: When trials that fall behind are ended early; null for never.
        budget: What the study may spend in all; null for whatever it takes.
        p0: Posterior variance before the first token, for every arm that does not say otherwise; so are the next four.
        rho0: Filtered log ratio before the first token.
        gradient: ``straight_through`` or ``through`` the filter.
        numerics: ``exact`` or ``public-cumsum-fp32``.
        estimator: What limits outliers: ``clip``, or an alternative of `iskpo.robust`.
        overrides: Dotted verl keys and their values, on top of the profile's.
        registered: Comparisons and thresholds named before the first run, which the report judges by.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)]
    question: str | None = None
    profile: Annotated[str, AfterValidator(_profile)] = AUTO
    space: Annotated[SerializeAsAny[SearchSpace], BeforeValidator(_space)]
    trial: TrialKind = TrialKind(kind="train")
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], NotEmpty, Distinct, BeforeValidator(_seeds)] = (
        0,
    )
    steps: Annotated[int, Field(ge=1, validate_default=True), BeforeValidator(steps_of)] = NOT_GIVEN
    eval: Evaluation = Evaluation()
    traces: Traces = Traces()
    slots: Annotated[int, Field(ge=1)] = 1
    ray: ClusterKeys = ClusterKeys()
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    early_stopping: EarlyStopping | None = None
    budget: Budget | None = None
    p0: InitialVariance = 0.0
    rho0: InitialLogRatio = 0.0
    gradient: Gradient = "straight_through"
    numerics: Numerics = "exact"
    estimator: Estimator = "clip"
    overrides: dict[Annotated[str, AfterValidator(_override)], Any] = {}
    registered: Registered | None = None

    @property
    def defaults(self) -> ArmDefaults:
        """What arms have unless the space says otherwise."""
        return ArmDefaults(
            p0=self.p0, rho0=self.rho0, gradient=self.gradient, numerics=self.numerics, estimator=self.estimator
        )

    def arms(self) -> list[Arm]:
        """The arms of the study's space, with its defaults; a space that is adaptive has no list of them."""
        return self.space.to_arms(defaults=self.defaults)

    @model_validator(mode="after")
    def _check_arms(self) -> "Study":
        size = _of_space(self, lambda: operator.index(self.space.size()))
        if (trials := size * len(self.seeds)) > MAXIMUM_TRIALS:
            message = f"{size:,} arms with {len(self.seeds):,} seeds are {trials:,} trials"
            raise located_errors(self, [(("space",), f"{message}; the most is {MAXIMUM_TRIALS:,}")])
        if found := _of_space(self, lambda: self.space.problems(defaults=self.defaults)):
            raise located_errors(self, [(("space", *where), message) for where, message in found])
        if isinstance(self.space, AdaptiveSpace):
            arms = self.space.corners(defaults=self.defaults)
            found = _problems_of(arms, lambda index: ("space", "parameters"), self.overrides)[:3]
        else:
            arms, places = _of_space(self, lambda: _listed(self))
            found = _problems_of(arms, places.__getitem__, self.overrides) + _repeated(arms, places)
            if self.trial.is_replay:
                found += [
                    (where, f"arm {arm.name}: {why}")
                    for where, arm in zip(places, arms, strict=True)
                    if (why := arm_problem(arm))
                ]
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
        return _compared_early(self.early_stopping, self.space)


def _compared_early(stopping: EarlyStopping, space: SearchSpace) -> Metric:
    if stopping.metric is not None:
        return stopping.metric
    only: Any = space.objective[0] if isinstance(space, OptunaSpace) else "accuracy"
    return cast(Metric, only)


def _not_of_a_replay(study: Study, objectives: tuple[str, ...]) -> list[tuple[Place, str]]:
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
    if study.overrides:
        found.append((("overrides",), "a replay does not run verl: leave this key out"))
    if isinstance(study.space, AdaptiveSpace):
        why = {arm_problem(arm): None for arm in study.space.corners(defaults=study.defaults)}
        found += [(("space", "parameters"), message) for message in why if message]
    return found


def _early_stopping_problems(
    study: Study, stopping: EarlyStopping, objectives: tuple[str, ...]
) -> list[tuple[Place, str]]:
    if len(objectives) > 1:
        message = f"needs one objective to compare trials by; space.objective names {', '.join(objectives)}"
        return [(("early_stopping",), message)]
    found: list[tuple[Place, str]] = []
    if stopping.after >= study.steps:
        found.append((("early_stopping", "after"), f"must be below steps = {study.steps}, got {stopping.after}"))
    if _compared_early(stopping, study.space) == "accuracy" and (
        study.eval.every is None or study.eval.every >= study.steps
    ):
        message = (
            "accuracy is known after evaluations alone, and eval.every asks for none before the last step; "
            "set it, or metric: reward"
        )
        found.append((("early_stopping", "metric"), message))
    return found


_Made = TypeVar("_Made")


def _listed(study: Study) -> tuple[list[Arm], list[Place]]:
    """The arms of a space with a list of them, and the place of each; the space may be a user's own."""
    arms = study.arms()
    if not all(isinstance(arm, Arm) for arm in arms):
        raise TypeError("to_arms must return a list of Arm")
    if len(arms) != study.space.size():
        raise ValueError(f"to_arms returns {len(arms)} arms, and size says {study.space.size()}")
    return arms, [("space", *study.space.location(index)) for index in range(len(arms))]


def _of_space(study: Study, make: Callable[[], _Made]) -> _Made:
    """What a space makes; an error in a user's own space becomes a message, and one in ours stays what it is."""
    try:
        return make()
    except Exception as error:
        if type(study.space).__module__.startswith("sweep."):
            raise
        message = f"{type(study.space).__name__} fails: {type(error).__name__}: {error}"
        raise located_errors(study, [(("space",), message)]) from None


def _problems_of(arms: list[Arm], place: Callable[[int], Place], overrides: dict[str, Any]) -> list[tuple[Place, str]]:
    """What is wrong with each arm by itself, and what overrides would be lost on it."""
    found: list[tuple[Place, str]] = []
    lost: dict[str, str] = {}
    for index, arm in enumerate(arms):
        found += [(place(index), f"arm {arm.name}: {message}") for message in arm_problems(arm)]
        for key in loss_settings(arm).keys() & {key.lstrip("+"): None for key in overrides}.keys():
            lost.setdefault(key, arm.name)
    for key in overrides:
        if (name := lost.get(key.lstrip("+"))) is not None:
            found.append((("overrides", key), f"arm {name} sets it, by its loss, clip_low, clip_high or advantage"))
    return found


def _repeated(arms: list[Arm], places: list[Place]) -> list[tuple[Place, str]]:
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


def load_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        UserError: Anything wrong with it, all at once, each with file, line, key and the nearest valid key or value.
    """
    from sweep.schema_errors import validate
    from sweep.yaml_source import load_yaml

    return validate(Study, load_yaml(path))
