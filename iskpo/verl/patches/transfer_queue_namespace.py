"""TransferQueue 0.1.11: give each slot a TransferQueue of its own inside one Ray cluster.

verl's TransferQueue is a single actor with a fixed name and a fixed namespace, so two verl jobs in one cluster would
share it and the first to finish would kill it for both. The names are constants in its module, hence these wrappers.

It goes away when ``transfer_queue.init`` takes a namespace: look for "transfer_queue" in its ``interface.py``.
"""

import os
from typing import Any

VARIABLE = "ISKPO_TRANSFER_QUEUE_NAMESPACE"
_SHARED = "transfer_queue"


class _Ray:
    """The `ray` module as TransferQueue sees it: `get_actor` looks in this slot's namespace."""

    def __init__(self, ray: Any, namespace: str) -> None:
        self._ray, self._namespace = ray, namespace

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ray, name)

    def get_actor(self, name: str, namespace: str | None = None) -> Any:
        return self._ray.get_actor(name, namespace=self._namespace if namespace == _SHARED else namespace)


class _Controller:
    """TransferQueueController whose named actor is created in this slot's namespace."""

    def __init__(self, controller: Any, namespace: str) -> None:
        self._controller, self._namespace = controller, namespace

    def __getattr__(self, name: str) -> Any:
        return getattr(self._controller, name)

    def options(self, **options: Any) -> Any:
        if options.get("namespace") == _SHARED:
            options["namespace"] = self._namespace
        return self._controller.options(**options)


def install() -> None:
    """Use the namespace named in the environment, if any; calling twice changes nothing."""
    namespace = os.environ.get(VARIABLE)
    if not namespace:
        return
    from transfer_queue import interface

    if not isinstance(interface.ray, _Ray):
        interface.ray = _Ray(interface.ray, namespace)
        interface.TransferQueueController = _Controller(interface.TransferQueueController, namespace)
