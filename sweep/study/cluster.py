"""Where a study's trials run: on this machine, or on a Ray cluster that exists; and how many GPUs each of them has.

.. code-block:: yaml

    ray:
      address: auto         # or HEAD:PORT; --address and RAY_ADDRESS go before it
      gpus_per_trial: 4     # of one node; the profile's number by default
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sweep.profiles.profile import Profile


class ClusterKeys(BaseModel):
    """Ray's part of a study.

    Attributes:
        address: A Ray cluster that runs already: ``auto`` on one of its nodes, or host:port; null to start Ray here.
        gpus_per_trial: GPUs of one trial, all on one node; null for the profile's.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    address: Annotated[str, Field(min_length=1)] | None = None
    gpus_per_trial: Annotated[int, Field(ge=1, le=64)] | None = None


def profile_with_gpus(*, profile: Profile, gpus: int | None) -> Profile:
    """The profile with so many GPUs for each trial, to Ray and to verl alike; None leaves it as it is."""
    if gpus is None:
        return profile
    return profile.model_copy(
        update={
            "ray": profile.ray.model_copy(update={"slot_gpus": gpus}),
            "verl": {**profile.verl, "trainer.n_gpus_per_node": gpus, "trainer.nnodes": 1},
        }
    )
