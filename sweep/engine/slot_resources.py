"""What a trial reserves in a Ray cluster, all of it at once and on one node, and how many fit.

All at once: a trial that holds one part and waits for another would wait for ever once two of them do. On one node: a
node that dies ends the trials that ran on it, and no other.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sweep.input.errors import UserError
from sweep.profiles.profile import Profile

Bundle = dict[str, float]
# verl's own number for each GPU (`ResourcePoolManager.max_colocate_count`).
_CPUS_PER_GPU = 3
# TransferQueue's controller holds one, and so does each of its stores; the others hold none, and need one to start.
_HELPERS_CPUS, _VERLS_STORES = 3, 8
_STORES = "transfer_queue.backend.SimpleStorage.num_data_storage_units"
REPLAY: tuple[Bundle, ...] = ({"CPU": 1},)


def slot_bundles(profile: Profile) -> tuple[Bundle, ...]:
    """A bundle for each of the slot's GPUs, and one for verl's helpers."""
    stores = int(profile.verl.get(_STORES, _VERLS_STORES))
    gpus: tuple[Bundle, ...] = ({"CPU": _CPUS_PER_GPU, "GPU": 1},) * profile.ray.slot_gpus
    return (*gpus, {"CPU": _HELPERS_CPUS + stores})


def tune_resources(bundles: Sequence[Bundle]) -> Any:
    """The bundles for Ray Tune; the runner itself takes nothing, and lies on the slot's node."""
    from ray.tune import PlacementGroupFactory

    return PlacementGroupFactory([{}, *map(dict, bundles)], strategy="STRICT_PACK")


def room_for(*, bundles: Sequence[Bundle], nodes: Sequence[Mapping[str, Any]]) -> int:
    """How many trials fit side by side into the nodes of a cluster that nobody else uses."""
    needed = _sum(bundles)
    return sum(
        min(math.floor(node["Resources"].get(name, 0.0) / amount) for name, amount in needed.items())
        for node in nodes
        if node["Alive"]
    )


def check_room(*, bundles: Sequence[Bundle], nodes: Sequence[Mapping[str, Any]], slots: int) -> str:
    """What to tell people of a cluster that has room for fewer trials than there are slots, or "".

    Raises:
        UserError: No node has room for a single one.
    """
    room, needed = room_for(bundles=bundles, nodes=nodes), _in_words(_sum(bundles))
    if room >= slots:
        return ""
    if room:
        return f"slots: {slots}, and the cluster has room for {room} (a trial takes {needed} of one node): others wait"
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    have = {_in_words({name: node.get(name, 0.0) for name in _sum(bundles)}) for node in alive}
    raise UserError(
        f"no node of the Ray cluster has room for a trial, which takes {needed} of one node; its nodes ({len(alive)}) "
        f"have {' or '.join(sorted(have))} each: see ray.gpus_per_trial in the study, and --num-cpus of `ray start`"
    )


def _sum(bundles: Sequence[Bundle]) -> Bundle:
    names = {name for bundle in bundles for name in bundle}
    return {name: sum(bundle.get(name, 0.0) for bundle in bundles) for name in names}


def _in_words(resources: Bundle) -> str:
    return " and ".join(f"{resources[name]:g} {name}s" for name in sorted(resources, reverse=True))
