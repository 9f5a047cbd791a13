"""The keys of a study file, and what each may hold; `sweep.study.study` checks them against one another."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationInfo

from iskpo.settings import Estimator, Gradient, Numerics
from sweep.arms.arm import Arm
from sweep.arms.verl_settings import key_problem
from sweep.input.errors import did_you_mean
from sweep.input.fields import Distinct, InitialLogRatio, InitialVariance, NotEmpty
from sweep.input.schema_errors import is_begun, located_errors
from sweep.profiles.profile import AUTO, CheckpointKeys, available_profiles
from sweep.search_spaces import ArmDefaults, Registry, SearchSpace
from sweep.search_spaces.own import space_of_kind
from sweep.study.budget import Budget
from sweep.study.early_stopping import EarlyStopping
from sweep.study.registered import Registered
from sweep.study.trial_kind import NOT_GIVEN, TrialKind, steps_of

MAXIMUM_TRIALS = 100_000
_LONGEST_NAME = 60


def study_name(text: str) -> str:
    """A name that a study can have, from a file's or a folder's.

    >>> study_name("my runs (2)")
    'my_runs_2_'
    >>> study_name("κ")
    'study'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip("._-")[:_LONGEST_NAME] or "study"


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
        space = space_of_kind(value["kind"], folder=(information.context or {}).get("folder"))
    except ValueError as error:
        raise located_errors(value, [(("kind",), str(error))]) from None
    return space.model_validate(value, context=information.context)


def _settable(key: str, information: ValidationInfo) -> str:
    """The key, if it is one that a study may set; a study that an earlier version began has run with what it says.

    Raises:
        ValueError: It is reserved, unknown to verl, or no dotted key.
    """
    if is_begun(information):
        return key
    if problem := key_problem(key, of_arm=False):
        raise ValueError(problem)
    return key


class Evaluation(BaseModel):
    """How trained policies are judged.

    Attributes:
        samples: Generations for every held-out problem, the k of avg@k and pass@k.
        every: Evaluate after every so many steps, and after the last; null for after the last alone.
        untrained: Evaluate the untrained model too, once with each seed, by the first trial of that seed before it
            trains; the report then says what training changed.
        matching: When an answer to a mathematics problem is right, for rewards as well: ``equivalent``, the same
            mathematics; ``strict``, the same notation, but for spelling; or ``exact``, the same text but for white
            space, as the paper writes. The page "Grading" has the rules.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    samples: Annotated[int, Field(ge=1, le=1024)] = 4
    every: Annotated[int, Field(ge=1)] | None = None
    untrained: bool = True
    matching: Literal["equivalent", "strict", "exact"] = "equivalent"


class TraceLimit(BaseModel):
    """How much is kept of the log ratios that the loss sees, for `iskpo-sweep replay`.

    Attributes:
        megabytes: Most that one trial's may take, in 10^6 bytes; 0 keeps none. Where all sequences of a step do not
            fit, a random sample of them is kept.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    megabytes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 50.0


class ClusterKeys(BaseModel):
    """Ray's part of a study.

    .. code-block:: yaml

        ray:
          address: auto         # or HEAD:PORT; --address and RAY_ADDRESS go before it
          gpus_per_trial: 4     # of one node; the profile's number by default

    Attributes:
        address: A Ray cluster that runs already: ``auto`` on one of its nodes, or host:port; null to start Ray here.
        gpus_per_trial: GPUs of one trial, all on one node; null for the profile's.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    address: Annotated[str, Field(min_length=1)] | None = None
    gpus_per_trial: Annotated[int, Field(ge=1, le=64)] | None = None


class StudyFields(BaseModel):
    """The keys of a study file, each with its own range.

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
        checkpoint: When training is saved; null for the profile's.
        slots: Trials that run side by side.
        ray: The Ray cluster to run on, and the GPUs of a trial.
        retries: How often a trial that failed is tried again before it counts as failed.
        early_stopping: When trials that fall behind are ended early; null for never.
        twins: What is done with a trial that is proved to be another one: ``record`` it with that one's numbers, or
            ``train`` it, which measures the noise between two runs of the same.
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

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=_LONGEST_NAME)]
    question: str | None = None
    profile: Annotated[str, AfterValidator(_profile)] = AUTO
    space: Annotated[SerializeAsAny[SearchSpace], BeforeValidator(_space)]
    trial: TrialKind = TrialKind(kind="train")
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], NotEmpty, Distinct, BeforeValidator(_seeds)] = (
        0,
    )
    steps: Annotated[int, Field(ge=1, validate_default=True), BeforeValidator(steps_of)] = NOT_GIVEN
    eval: Evaluation = Evaluation()
    traces: TraceLimit = TraceLimit()
    checkpoint: CheckpointKeys | None = None
    slots: Annotated[int, Field(ge=1)] = 1
    ray: ClusterKeys = ClusterKeys()
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    early_stopping: EarlyStopping | None = None
    twins: Literal["record", "train"] = "record"
    budget: Budget | None = None
    p0: InitialVariance = 0.0
    rho0: InitialLogRatio = 0.0
    gradient: Gradient = "straight_through"
    numerics: Numerics = "exact"
    estimator: Estimator = "clip"
    overrides: dict[Annotated[str, AfterValidator(_settable)], Any] = {}
    registered: Registered | None = None

    @property
    def defaults(self) -> ArmDefaults:
        """What arms have unless the space says otherwise."""
        return ArmDefaults(
            p0=self.p0, rho0=self.rho0, gradient=self.gradient, numerics=self.numerics, estimator=self.estimator
        )

    @cached_property
    def arms(self) -> list[Arm]:
        """The arms of the study's space, with its defaults, made once; an adaptive space has no list of them."""
        return self.space.to_arms(defaults=self.defaults)

    @classmethod
    def model_at(cls, key: str, data: Any, *, folder: Path) -> type[BaseModel] | None:
        """The model of a key's mapping where the mapping itself chooses it: a space, by its ``kind``."""
        return space_of_kind(data["kind"], folder=folder) if key == "space" else None
