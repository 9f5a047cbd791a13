"""verl's vLLM servers, with the agent loops started beside them and each request's server chosen where it is sent from.

verl starts the servers, then a process that balances load, then the agent loops; each spends ten seconds and more on
imports, and every sample asks the balancer twice. Its balancer is a plain class, so here every client has its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ray
from omegaconf import DictConfig
from typing_extensions import override
from verl.workers.rollout.llm_server import LLMServerClient, LLMServerManager
from verl.workers.rollout.replica import get_rollout_replica_class
from verl.workers.rollout.router import GlobalRequestLoadBalancer

from iskpo.verl.patches.server_handles import light_class


def _final_output_only() -> Any:
    from vllm.sampling_params import RequestOutputKind

    return RequestOutputKind.FINAL_ONLY


class _FinalOutputOnly:
    """Becomes vLLM's ``RequestOutputKind.FINAL_ONLY`` where it is unpickled: importing vLLM here would take seconds."""

    @override
    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return _final_output_only, ()


# verl takes a response's tokens when it is complete. vLLM would decode it to text as well, and hand over what there is
# after every token.
_TOKENS_WHEN_COMPLETE = {"detokenize": False, "output_kind": _FinalOutputOnly()}


class BalancingClient(LLMServerClient):
    """Sends a request to the server with the fewest of this client's own; a conversation stays on its server."""

    def __init__(self, config: DictConfig) -> None:
        """Begin without servers."""
        super().__init__(config=config)
        self._balancer = GlobalRequestLoadBalancer(servers={})

    def add_servers(self, servers: dict[str, Any]) -> None:
        """Use these servers from now on; address to handle."""
        self._balancer.add_servers(servers)

    @override
    async def generate(self, request_id: str, *, sampling_params: dict[str, Any], **arguments: Any) -> Any:
        """Generate as verl's client does; vLLM answers with tokens alone, once."""
        if self.config.actor_rollout_ref.rollout.name == "vllm":
            sampling_params = {**_TOKENS_WHEN_COMPLETE, **sampling_params}
        return await super().generate(request_id, sampling_params=sampling_params, **arguments)

    @override
    async def _acquire_server(self, request_id: str, **_: Any) -> tuple[str, Any]:
        server: tuple[str, Any] = self._balancer.acquire_server(request_id)
        return server

    @override
    def _release_server(self, server_id: str, request_id: str | None = None) -> None:
        self._balancer.release_server(server_id, request_id)


def _of_many_requests(server: type) -> type:
    """The server with a method `generate_many`, for `iskpo.verl.single_turn.GatheredRequests`."""

    async def generate_many(self: Any, requests: list[dict[str, Any]]) -> list[Any]:
        return await asyncio.gather(*(self.generate(**request) for request in requests))

    return type(server.__name__, (server,), {"generate_many": generate_many})


def _replica(rollout: DictConfig) -> Any:
    """verl's class of the servers of one copy of the model, whose handles vLLM need not be imported for."""
    of_verl: Any = get_rollout_replica_class(rollout.name, disaggregation_enabled=rollout.disaggregation.enabled)

    def make(*args: Any, **kwargs: Any) -> Any:
        replica = of_verl(*args, **kwargs)
        server = light_class(replica.server_class.__ray_metadata__.modified_class)
        replica.server_class = ray.remote(_of_many_requests(server))
        return replica

    return make


def servers_beside(*, agent_loops: Callable[[BalancingClient], Awaitable[None]]) -> type[LLMServerManager]:
    """verl's manager of vLLM servers, in another order.

    Args:
        agent_loops: Starts them, given a client that has no servers yet.
    """

    class ServersBesideAgentLoops(LLMServerManager):
        global_load_balancer: Any
        # verl would import vLLM before the agent loops are started.
        rollout_replica_class: Any = None

        @override
        async def _initialize_llm_servers(self, start_rank: Any = None) -> None:
            if self.rollout_config.get("router_config_path"):
                raise ValueError("rollout.router_config_path is not supported: each client balances its own requests")
            await agent_loops(BalancingClient(self.config))
            self.rollout_replica_class = _replica(self.rollout_config)
            await super()._initialize_llm_servers(start_rank)

        @override
        async def _init_global_load_balancer(self) -> None:
            self.global_load_balancer = None

    return ServersBesideAgentLoops
