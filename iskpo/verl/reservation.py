"""Run a slot's verl inside resources that somebody has reserved for it.

verl reserves for itself: it counts free GPUs, then asks for placement groups, then starts helpers (TransferQueue, agent
loops, reward loops, vLLM's servers) on whichever nodes of the cluster. Two slots that start together both count the
same GPU, and one waits for ever; helpers find no CPU once trials have reserved them all; and a node that dies takes
the helpers of every slot with it. So Ray Tune reserves all of a slot at once, on one node, and verl stays there.
"""

import os
from typing import Any

from typing_extensions import override
from verl.single_controller.ray.base import RayResourcePool, ResourcePoolManager

from iskpo.verl.names import PLACEMENT_GROUP


def reserved_group() -> Any:
    """The slot's placement group: a bundle for each GPU, and a last one for the helpers. None where verl reserves."""
    from ray._raylet import PlacementGroupID
    from ray.util.placement_group import PlacementGroup

    identity = os.environ.get(PLACEMENT_GROUP)
    return PlacementGroup(PlacementGroupID(bytes.fromhex(identity))) if identity else None


class ReservedPools(ResourcePoolManager):
    """verl's resource pools, as one pool in the slot's placement group."""

    @override
    def create_resource_pool(self) -> None:
        """Take the placement group in place of new ones.

        Raises:
            ValueError: The configuration asks for GPUs that were not reserved.
        """
        group = reserved_group()
        (name, processes), *others = self.resource_pool_spec.items()
        if others or len(processes) != 1 or processes[0] != group.bundle_count - 1:
            raise ValueError(
                f"{group.bundle_count - 1} GPUs on one node are reserved for a trial, and verl is configured for "
                f"{self.resource_pool_spec}: set ray.gpus_per_trial in the study"
            )
        pool = RayResourcePool(
            process_on_nodes=processes, use_gpu=True, max_colocate_count=self.max_colocate_count, name_prefix=name
        )
        pool.pgs = [group]  # type: ignore[assignment]  # verl initialises it with None
        self.resource_pool_dict[name] = pool


def stay_within() -> None:
    """Put every actor that this process starts from now on into the slot's placement group; without one, do nothing.

    What names a placement group itself stays there. verl binds the others to nodes of its own choice, and offers no way
    to choose them.
    """
    if (group := reserved_group()) is None:
        return
    from ray.actor import ActorClass
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    helpers = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=group.bundle_count - 1)
    create = ActorClass._remote

    def create_within(self: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        if not isinstance(options.get("scheduling_strategy"), PlacementGroupSchedulingStrategy):
            options["scheduling_strategy"] = helpers
        return create(self, args=args, kwargs=kwargs, **options)

    ActorClass._remote = create_within  # type: ignore[method-assign]
