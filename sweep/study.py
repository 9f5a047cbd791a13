"""The study file: what a researcher writes, checked before anything starts."""

import operator
from pathlib import Path
from typing import Annotated, Any, Literal

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

from sweep.budget import Budget
from sweep.cluster import ClusterKeys
from sweep.early_stopping import EarlyStopping, Metric
from sweep.nearest import did_you_mean
from sweep.objectives import SMOOTHNESS
from sweep.plan import Arm, Estimator, Gradient, Numerics
from sweep.profiles import AUTO, available_profiles
from sweep.registered import Registered
from sweep.reserved_overrides import not_reserved
from sweep.search_spaces import AdaptiveSpace, ArmDefaults, OptunaSpace, Registry, SearchSpace
from sweep.search_spaces.fields import Distinct, InitialLogRatio, InitialVariance, NotEmpty
from sweep.search_spaces.located import located_errors
from sweep.study_checks import (
    arms_and_places,
    early_stopping_problems,
    made_by_space,
    metric_compared_early,
    not_of_a_replay,
    problems_of_arms,
    repeated_arms,
)
from sweep.trial_kind import NOT_GIVEN, TrialKind, arm_problem, steps_of

MAXIMUM_TRIALS = 100_000


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
    overrides: dict[Annotated[str, AfterValidator(not_reserved)], Any] = {}
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
        size = made_by_space(self, lambda: operator.index(self.space.size()))
        if (trials := size * len(self.seeds)) > MAXIMUM_TRIALS:
            message = f"{size:,} arms with {len(self.seeds):,} seeds are {trials:,} trials"
            raise located_errors(self, [(("space",), f"{message}; the most is {MAXIMUM_TRIALS:,}")])
        if found := made_by_space(self, lambda: self.space.problems(defaults=self.defaults)):
            raise located_errors(self, [(("space", *where), message) for where, message in found])
        if isinstance(self.space, AdaptiveSpace):
            arms = self.space.corners(defaults=self.defaults)
            found = problems_of_arms(arms, lambda index: ("space", "parameters"), self.overrides)[:3]
        else:
            arms, places = made_by_space(self, lambda: arms_and_places(self))
            found = problems_of_arms(arms, places.__getitem__, self.overrides) + repeated_arms(arms, places)
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
            found += not_of_a_replay(self, objectives)
        else:
            found += [
                (("space", "objective"), f"{name} is measured by a replay alone: add trial: {{kind: replay, ...}}")
                for name in objectives
                if name in SMOOTHNESS
            ]
        if self.early_stopping is not None:
            found += early_stopping_problems(self, self.early_stopping, objectives)
        if found:
            raise located_errors(self, found)
        return self

    @property
    def compared_early(self) -> Metric:
        """The metric that early stopping compares."""
        assert self.early_stopping is not None
        return metric_compared_early(self.early_stopping, self.space)


def load_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        UserError: Anything wrong with it, all at once, each with file, line, key and the nearest valid key or value.
    """
    from sweep.schema_errors import validate
    from sweep.yaml_source import load_yaml

    return validate(Study, load_yaml(path))
