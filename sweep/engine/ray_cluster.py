"""The Ray cluster a study runs in, and what a trial reserves there.

The cluster is one that exists, or one that is started for the study (`sweep.engine.own_ray`).

A trial reserves all that it takes at once and on one node. All at once: a trial that holds one part and waits for
another would wait for ever once two of them do. On one node: a node that dies ends the trials that ran on it, and no
other.
"""

import contextlib
import logging
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweep.engine.own_ray import started_ray
from sweep.input.errors import UserError
from sweep.profiles.profile import Profile
from sweep.store.study_folder import STUDY_FILE

Bundle = dict[str, float]
# verl's own number for each GPU (`ResourcePoolManager.max_colocate_count`).
_CPUS_PER_GPU = 3
# TransferQueue's controller holds one, and so does each of its stores; the others hold none, and need one to start.
_HELPERS_CPUS, _VERLS_STORES = 3, 8
_STORES = "transfer_queue.backend.SimpleStorage.num_data_storage_units"
REPLAY: tuple[Bundle, ...] = ({"CPU": 1},)
_PATIENCE_SECONDS = 120.0


@contextlib.contextmanager
def ray_cluster(
    *, profile: Profile, slots: int, bundles: Sequence[Bundle], address: str | None, output: Path
) -> Iterator[str]:
    """Connect to a cluster, or start one, and give its address.

    On a CPU profile the cluster's CPUs and GPUs are logical: a "GPU" there is a part of a slot.

    Args:
        profile: Says how many CPUs to declare and how many GPUs a slot takes.
        slots: Trials side by side.
        bundles: What one trial reserves.
        address: Address of an existing cluster, or None.
        output: The study's folder, which every node must see.

    Raises:
        StudyCutOff: One of Ray's own processes died while the body ran.
        UserError: The address does not answer, no node has room for a trial, or one does not see the folder.
    """
    # A variable that stops Python from keeping compiled files makes every start three times slower.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    own = started_ray(profile=profile, slots=slots, output=output)
    with own if address is None else _connected(address, output):
        _end_on_terminate()
        if waiting := check_room(bundles=bundles, nodes=ray.nodes(), slots=slots):
            print(waiting, file=sys.stderr)
        yield ray.get_runtime_context().gcs_address


@contextlib.contextmanager
def _connected(address: str, output: Path) -> Iterator[None]:
    import ray

    try:
        with contextlib.chdir(output):  # as in `sweep.engine.own_ray`
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError) as error:
        # Among the second kind is a cluster of another version of Ray or Python.
        reason = " ".join(str(error).split())[:500]
        raise UserError(f"no Ray cluster answers at {address!r} that this program can use: {reason}") from None
    try:
        _check_nodes(output)
        yield
    finally:
        ray.shutdown()


def _check_nodes(output: Path) -> None:
    """Ask every node whether it can run a trial."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Not imported by the nodes: whether they can is what is asked.
    def complaint(study_file: str) -> str:
        import importlib.util
        import pathlib

        if importlib.util.find_spec("sweep") is None or importlib.util.find_spec("iskpo") is None:
            return "has no iskpo-sweep in the Python that runs its Ray"
        return "" if pathlib.Path(study_file).is_file() else f"does not see {study_file}, which all nodes must share"

    asked = {
        node["NodeManagerAddress"]: ray.remote(complaint)
        .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(str(output.resolve() / STUDY_FILE))
        for node in ray.nodes()
        if node["Alive"]
    }
    for address, answer in asked.items():
        try:
            said = ray.get(answer, timeout=_PATIENCE_SECONDS)
        except ray.exceptions.RayError as error:
            said = f"does not run what it is given: {type(error).__name__}"
        if said:
            raise UserError(f"node {address} of the Ray cluster {said}")


def _end_on_terminate() -> None:
    """Let a plain kill end the study as Ctrl-C does: Ray has just put a handler in place that aborts at once."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def slot_bundles(profile: Profile) -> tuple[Bundle, ...]:
    """A bundle for each of the slot's GPUs, and one for verl's helpers."""
    stores = int(profile.verl.get(_STORES, _VERLS_STORES))
    gpu: Bundle = {"CPU": _CPUS_PER_GPU, "GPU": 1}
    return (*[gpu] * profile.ray.slot_gpus, {"CPU": _HELPERS_CPUS + stores})


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
