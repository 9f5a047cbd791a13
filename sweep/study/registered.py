"""What a study's author names before any data are seen: comparisons, and the thresholds that will judge them.

Comparisons that are listed here are the report's confirmatory ones, and Holm's correction is over them alone. Whatever
else is compared is exploratory. Without this key the report takes the arms that repeat a configuration of the paper.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sweep.input.errors import did_you_mean
from sweep.input.fields import List
from sweep.input.schema_errors import Place

Share = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(min_length=1)]


class RegisteredComparison(BaseModel):
    """One arm against another.

    Attributes:
        arm: Name of the arm.
        reference: Name of the arm that it is compared with.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    arm: Name
    reference: Name


class RegisteredRecovery(BaseModel):
    """The share of a gap in accuracy that an arm closes, (arm - lower) / (upper - lower).

    Attributes:
        arm: Name of the arm.
        lower: The arm at the gap's lower end.
        upper: The arm at its upper end.
        at_least: The share that counts as recovered.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    arm: Name
    lower: Name
    upper: Name
    at_least: Share = 0.5


class Registered(BaseModel):
    """What was named before the first run.

    Attributes:
        comparisons: Pairs of arms; Holm's correction is over these.
        recovery: A gap, and the share of it that counts as recovered.
        gain_bound: Steady-state gains up to this one are called low, 0 to 1.
        clip_bound: Clip fractions from this one on are called active clipping, 0 to 1.
        margin: Largest difference of accuracy that does not matter, a share, for tests of equivalence.
        seed_variance: ``separate``, each comparison knows of its own two arms alone how much seeds differ, or
            ``pooled``, over all arms of the study, which finds far smaller differences with few seeds and assumes that
            seeds move every arm alike. The report checks that, and shows the separate result beside it.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    comparisons: Annotated[tuple[RegisteredComparison, ...], List] = ()
    recovery: RegisteredRecovery | None = None
    gain_bound: Share | None = None
    clip_bound: Share | None = None
    margin: Share | None = None
    seed_variance: Literal["pooled", "separate"] = "separate"

    def problems(self, *, arms: list[str] | None) -> list[tuple[Place, str]]:
        """What is wrong with the names, each with its place below ``registered``.

        Args:
            arms: Names of the study's arms; None where they are chosen while the study runs.
        """
        if arms is None:
            if not self.comparisons and self.recovery is None:
                return []
            where = "comparisons" if self.comparisons else "recovery"
            message = "the arms are chosen while the study runs, so none can be named before; keep bounds and margin"
            return [((where,), message)]
        named: list[tuple[Place, str]] = []
        for index, pair in enumerate(self.comparisons):
            named += [(("comparisons", index, key), getattr(pair, key)) for key in ("arm", "reference")]
        if self.recovery is not None:
            named += [(("recovery", key), getattr(self.recovery, key)) for key in ("arm", "lower", "upper")]
        found = [
            (place, f"the study has no arm {name!r}{did_you_mean(name, arms)}")
            for place, name in named
            if name not in arms
        ]
        pairs: dict[frozenset[str], int] = {}
        for index, pair in enumerate(self.comparisons):
            if pair.arm == pair.reference:
                found.append((("comparisons", index, "reference"), f"compares arm {pair.arm!r} with itself"))
            elif (first := pairs.setdefault(frozenset((pair.arm, pair.reference)), index)) != index:
                found.append((("comparisons", index), f"compares the same two arms as comparisons[{first}]; keep one"))
        if self.recovery is not None and len({self.recovery.arm, self.recovery.lower, self.recovery.upper}) < 3:
            found.append((("recovery",), "arm, lower and upper must be three different arms"))
        return found
