"""Search spaces whose arms are chosen while the study runs, from the results of those before."""

from abc import abstractmethod
from typing import Annotated, ClassVar

from pydantic import Field

from sweep.arms.arm import Arm
from sweep.search_spaces.base import ArmDefaults, SearchSpace


class AdaptiveSpace(SearchSpace):
    """Base of spaces without a list of arms: `sweep.study.plan.plan_trials` has nothing to list, a plan shows ranges.

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
