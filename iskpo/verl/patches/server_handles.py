"""Ray 2.60: whoever is given an actor's handle loads the actor's class, and so an agent loop would import all of vLLM.

That takes eight seconds, when vLLM has long been ready. Here the class that Ray passes on has names and arguments of
the server's methods alone, and makes the server itself in the process that is to be it.

It goes away when Ray makes handles without the class: look for ``load_actor_class`` in its ``make_actor_handle``.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any


def light_class(actor: type) -> type:
    """A class that Ray passes on whole, since it is in no module, and that imports the other when it is made.

    Args:
        actor: A class of a module's top level, of which others call methods only.
    """
    module, name = actor.__module__, actor.__name__

    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        self._actor = getattr(import_module(module), name)(*args, **kwargs)

    methods = {key: method for key, method in inspect.getmembers(actor, inspect.isfunction) if not key.startswith("__")}
    members = {key: _like(method, _passed_on(key, method)) for key, method in methods.items()}
    return type(name, (), {**members, "__init__": _like(inspect.getattr_static(actor, "__init__"), make)})


def _passed_on(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._actor, name)(*args, **kwargs)

    async def call_and_wait(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await getattr(self._actor, name)(*args, **kwargs)

    # Ray has coroutine functions run in the actor's event loop.
    return call_and_wait if inspect.iscoroutinefunction(method) else call


def _like(method: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the method's name and parameters, and no annotations, whose types would have to be imported."""
    signature = inspect.signature(method)
    parameters = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    function.__name__ = method.__name__
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function
