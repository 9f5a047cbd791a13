"""What a trial of a study is: training, or a replay of log ratios that an earlier study recorded.

.. code-block:: yaml

    trial:
      kind: replay
      traces: output/qv_kappa-20261123-120000   # the earlier study's output folder
      only: [kpo-strong_s0]                     # of these trials; all that left traces by default

A replay filters the recorded log ratios under its arm (`iskpo.replay`) and takes milliseconds where training takes
hours. The policy does not move: it says what another filter would have made of these log ratios, and nothing about
accuracy.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo

from sweep.arms.arm import Arm
from sweep.input.fields import Distinct, List, NotEmpty
from sweep.input.schema_errors import Place

# What the replay computes: the published float32 formula is not among it.
_NUMERICS = "exact"


class TrialKind(BaseModel):
    """What is done with an arm.

    Attributes:
        kind: ``train`` with verl, or ``replay`` recorded log ratios.
        traces: Of a replay: output folder of the study that recorded them; looked for from the study file's folder, and
            then from the current one.
        only: Of a replay: keys of the trials whose log ratios are used, pooled; by default all that left any.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Literal["train", "replay"]
    traces: Annotated[str, Field(min_length=1)] | None = None
    only: Annotated[tuple[str, ...], List, NotEmpty, Distinct] | None = None

    @property
    def is_replay(self) -> bool:
        """Whether nothing is trained."""
        return self.kind == "replay"

    def problems(self) -> list[tuple[Place, str]]:
        """Keys that are missing, or belong to the other kind."""
        if self.is_replay:
            return (
                [] if self.traces else [(("traces",), "this key is missing: a replay needs an earlier study's folder")]
            )
        return [
            ((key,), "goes with kind: replay alone") for key in ("traces", "only") if getattr(self, key) is not None
        ]


def arm_problem(arm: Arm) -> str | None:
    """Why an arm cannot be replayed, or None."""
    if not arm.has_filter:
        return f"the loss {arm.loss} has no filter to replay"
    if arm.numerics != _NUMERICS:
        return f"a replay computes with numerics {_NUMERICS} alone, not with {arm.numerics}"
    if arm.settings:
        return f"a replay does not run verl: leave {' and '.join(arm.settings)} out"
    if arm.advantage is not None or arm.dynamic_sampling:
        return "a replay has no advantages and samples nothing: leave advantage and dynamic_sampling out"
    return None


# Told from null, which a user may write.
NOT_GIVEN: Any = object()


def steps_of(value: Any, information: ValidationInfo) -> Any:
    """Training steps: a replay has none, and counts as one; anything else must say how many."""
    # None where the key is wrong by itself: what it would have asked for is not known.
    kind: TrialKind | None = information.data.get("trial")
    if value is NOT_GIVEN:
        if kind is not None and not kind.is_replay:
            raise ValueError("this key is missing")
        return 1
    if kind is not None and kind.is_replay and value != 1:
        raise ValueError("a replay has no training steps: leave this key out")
    return value
