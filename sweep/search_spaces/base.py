"""What a search space is, and how a study file's ``kind`` finds it.

A search space is a pydantic model with a ``kind`` of its own and a method that turns it into arms. `register` makes it
known; the study schema then accepts it under ``space:``. A space in a user's own file needs no `register`
(`sweep.search_spaces.own`).
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from iskpo.settings import Estimator, FilterSettings, Gradient, Numerics
from sweep.arms.arm import Arm
from sweep.input.errors import did_you_mean


@dataclass(frozen=True)
class ArmDefaults:
    """The study-wide values that an arm has unless its space says otherwise; see `sweep.arms.arm.Arm`."""

    p0: float = FilterSettings.p0
    rho0: float = FilterSettings.rho0
    gradient: Gradient = FilterSettings.gradient
    numerics: Numerics = FilterSettings.numerics
    estimator: Estimator = FilterSettings.estimator

    def arm(self, *, name: str, **own: Any) -> Arm:
        """An arm of the loss iskpo; what `own` does not say, or says with None, is the study's."""
        return Arm(name=name, **{**vars(self), **{key: value for key, value in own.items() if value is not None}})


class SearchSpace(BaseModel):
    """Base of all search spaces: unknown keys are refused, and text is never taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Whether arms are chosen while the study runs, so that there is no list of them beforehand.
    is_adaptive: ClassVar[bool] = False

    kind: str

    @abstractmethod
    def size(self) -> int:
        """Number of arms, without making them."""

    @abstractmethod
    def to_arms(self, *, defaults: ArmDefaults) -> list[Arm]:
        """The arms, always in the same order, each with a name of its own."""

    def problems(self, *, defaults: ArmDefaults) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with the space beyond each key's own range, each with its place in the space's keys.

        Looked at before `to_arms` is called.
        """
        return []

    def files(self, *, folder: Path | None) -> list[Path]:
        """What its arms are read from, which is kept beside the study file under its bare name.

        Args:
            folder: The study file's.
        """
        return []

    def location(self, index: int) -> tuple[str | int, ...]:
        """Where in the space's own keys the arm of this index stands, for error messages."""
        return ()


class AdaptiveSpace(SearchSpace):
    """Base of spaces whose arms are chosen while the study runs, from the results of those before.

    There is no list of arms: `sweep.study.plan.plan_trials` has nothing to list, and a plan shows ranges.

    Attributes:
        trials: How many arms are tried; each is trained with every seed of the study.
    """

    is_adaptive: ClassVar[bool] = True

    trials: Annotated[int, Field(ge=1)]

    @abstractmethod
    def ranges(self) -> dict[str, str]:
        """Each parameter's values in words, by name."""

    @abstractmethod
    def corners(self, *, defaults: ArmDefaults) -> list[Arm]:
        """An arm for every combination of choices and of ends of ranges: what holds for all of them holds inside."""

    def size(self) -> int:
        """The arms that will be tried."""
        return self.trials

    def to_arms(self, *, defaults: ArmDefaults) -> list[Arm]:
        """There is no list of arms.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"the arms of a space of kind {self.kind} are chosen while the study runs")


class Registry:
    """The search spaces known to the study schema, by ``kind``."""

    _spaces: ClassVar[dict[str, type[SearchSpace]]] = {}

    @classmethod
    def kinds(cls) -> list[str]:
        """All known kinds, in alphabetical order."""
        return sorted(cls._spaces)

    @classmethod
    def get(cls, kind: Any) -> type[SearchSpace]:
        """The space of a registered kind.

        Raises:
            ValueError: There is none; the message names the nearest.
        """
        if not isinstance(kind, str) or kind not in cls._spaces:
            raise ValueError(f"unknown kind {kind!r}{did_you_mean(kind, cls.kinds())}")
        return cls._spaces[kind]

    @classmethod
    def add(cls, kind: str, space: type[SearchSpace]) -> None:
        """Make a space known.

        Raises:
            ValueError: Another space has this kind.
        """
        if cls._spaces.get(kind, space) is not space:
            raise ValueError(f"the kind {kind!r} belongs to {cls._spaces[kind].__name__} already")
        cls._spaces[kind] = space


_Space = TypeVar("_Space", bound=type[SearchSpace])


def register(kind: str) -> Callable[[_Space], _Space]:
    """Class decorator: make a search space known under the ``kind`` that study files use."""

    def add(space: _Space) -> _Space:
        Registry.add(kind, space)
        return space

    return add
