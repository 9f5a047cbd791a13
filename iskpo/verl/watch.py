"""Notice that one of a slot's processes has died: verl waits for its answer for ever.

An actor that lives and is busy answers a call when its turn comes, however long that takes; the call to one that has
died fails at once. So a call is left pending with each actor, and what is looked for is failure and never silence.
vLLM's engine is a process of its server's and no actor: the server is asked whether it still has it.
"""

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import ray
from ray.exceptions import RayError

_SECONDS = 2.0


def named_actors(namespaces: Collection[str]) -> dict[str, Any]:
    """Handles of all named actors in these namespaces; verl and TransferQueue name all of theirs."""
    known = ray.util.list_named_actors(all_namespaces=True)
    return {
        actor["name"]: ray.get_actor(actor["name"], namespace=actor["namespace"])
        for actor in known
        if actor["namespace"] in namespaces
    }


def watch(actors: dict[str, Any], *, died: Callable[[str], None]) -> None:
    """Watch from a thread of its own until one has died.

    Args:
        actors: Name to handle.
        died: Called once, with the dead actor's name and what is known of its death.
    """

    def look() -> None:
        pending: dict[Any, str] = {}
        while True:
            asked = set(pending.values())
            pending |= {
                handle.__ray_call__.remote(_has_its_engine): name
                for name, handle in actors.items()
                if name not in asked
            }
            answered, _ = ray.wait(list(pending), num_returns=len(pending), timeout=_SECONDS)
            for call in answered:
                name = pending.pop(call)
                try:
                    complete = ray.get(call)
                except RayError as error:
                    died(f"{name} died: {error}")
                    return
                if not complete:
                    died(f"{name} has lost its engine: vLLM's engine process died")
                    return
            time.sleep(_SECONDS)

    threading.Thread(target=look, name="watch", daemon=True).start()


def _has_its_engine(actor: Any) -> bool:
    """Called in the actor; all but vLLM's servers have none to lose."""
    return not getattr(getattr(actor, "engine", None), "errored", False)
