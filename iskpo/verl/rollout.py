"""Agent loops whose every sample has a random seed of its own.

The seed of a sample depends on the trial's seed, the training step, the problem and the sample's number alone. So arms
with the same trial seed see common random numbers, and a trial that follows another in a warm slot draws what it would
have drawn alone.
"""

import hashlib
from typing import Any

import ray
from hydra.utils import get_class
from verl.experimental.agent_loop.agent_loop import DictConfigWrap, ToolListWrap, _agent_loop_registry
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ

# verl decorates the class with ray.remote, and an actor class cannot be subclassed; the class behind it can.
_AgentLoopWorker = AgentLoopWorkerTQ.__ray_metadata__.modified_class  # type: ignore[attr-defined]


def sampling_seed(*, trial: int, step: int, problem: int, sample: int, evaluation: bool) -> int:
    """A 31-bit seed that is the same for the same five values on every machine."""
    text = f"{trial}/{step}/{problem}/{sample}/{int(evaluation)}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


@ray.remote
class SeededAgentLoopWorker(_AgentLoopWorker):  # type: ignore[misc, valid-type]
    """verl's agent-loop worker, with one vLLM sampling seed per sample."""

    _trial_seed = 0

    def begin_trial(self, seed: int) -> None:
        """Use this trial seed from now on."""
        self._trial_seed = seed

    async def _run_agent_loop(
        self, sampling_params: dict[str, Any], trajectory: dict[str, Any], *, agent_name: str, **rest: Any
    ) -> Any:
        seed = sampling_seed(
            trial=self._trial_seed,
            step=int(trajectory["step"]),
            problem=int(trajectory["sample_index"]),
            sample=int(rest["session_id"]),
            evaluation=bool(trajectory["validate"]),
        )
        seeded = {**sampling_params, "seed": seed}
        registered = _agent_loop_registry.get(agent_name, {})
        if set(registered) != {"_target_"}:
            return await super()._run_agent_loop(seeded, trajectory, agent_name=agent_name, **rest)
        # As verl does, less its tracing and Hydra's instantiation, which merges the whole configuration for every
        # sample: half of this process's time.
        rest.pop("trace", None)
        loop = get_class(registered["_target_"])(
            trainer_config=DictConfigWrap(config=self.config),
            server_manager=self.llm_client,
            tokenizer=self.tokenizer,
            processor=self.processor,
            hf_model_type=self.hf_model_type,
            dataset_cls=self.dataset_cls,
            data_config=DictConfigWrap(self.config.data),
            tools=ToolListWrap(self.tools),
        )
        output = await loop.run(seeded, **rest)
        for one in output if isinstance(output, list) else [output]:
            one.extra_fields.update(self._length(one.response_ids))
        return await self._agent_loop_postprocess(output, trajectory["validate"], **rest)

    def _length(self, response: list[int]) -> dict[str, int | bool]:
        """For the reward function, which sees text alone: verl passes these on to it in ``extra_info``.

        vLLM's own reason for ending is not among what verl keeps. A response of full length that does not end with the
        end token was cut off.
        """
        full = len(response) >= int(self.rollout_config.response_length)
        return {
            "response_tokens": len(response),
            "truncated": full and response[-1] != self.tokenizer.eos_token_id,
        }


class SeededAgentLoopManager(AgentLoopManagerTQ):
    """Starts seeded agent-loop workers and tells them when a trial begins."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As verl's manager, with our workers."""
        super().__init__(*args, **kwargs)
        self.agent_loop_workers_class: Any = SeededAgentLoopWorker

    def begin_trial(self, seed: int) -> None:
        """Pass the trial's seed to every worker, and wait until each has it."""
        workers: list[Any] = self.agent_loop_workers
        ray.get([worker.begin_trial.remote(seed) for worker in workers])
