"""Agent loops whose every sample has a random seed of its own.

The seed of a sample depends on the trial's seed, the training step, the problem and the sample's number alone. So arms
with the same trial seed see common random numbers, and a trial that follows another in a warm slot draws what it would
have drawn alone.

Evaluation goes without the training data plane: prompts go to vLLM, texts and verdicts come back. verl's own validation
sends every sample through TransferQueue and a reward process, as if it were to be trained on, which takes several times
as long as generating it.
"""

import asyncio
import hashlib
import itertools
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
import torch
import transfer_queue
from hydra.utils import get_class
from omegaconf import open_dict
from typing_extensions import override
from verl.experimental.agent_loop.agent_loop import DictConfigWrap, ToolListWrap, _agent_loop_registry
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
from verl.utils.reward_score import default_compute_score
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from iskpo.verl.composition import graded_by_agent_loops
from iskpo.verl.grading import grade, overlong_penalty, require_finite
from iskpo.verl.llm_servers import BalancingClient
from iskpo.verl.names import UNSHAPED_REWARD
from iskpo.verl.single_turn import GatheredRequests, SharedPromptLoop

if TYPE_CHECKING:
    _AgentLoopWorker = AgentLoopWorkerTQ
else:
    # verl decorates the class with ray.remote, and an actor class cannot be subclassed; the class behind it can.
    _AgentLoopWorker = AgentLoopWorkerTQ.__ray_metadata__.modified_class

_SINGLE_TURN = "single_turn_agent"
# A prompt with one of these has a number of samples of its own, or greedy ones.
_OF_VERL = frozenset({"__rollout_n__", "__do_sample__"})


# Of one output of an agent loop, as verl's trainer reads it: key, fields and tag.
Row = tuple[str, dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class EvaluatedSample:
    """One response to one problem.

    Attributes:
        prompt: Decoded prompt.
        response: Decoded response, without special tokens.
        truth: The right answer.
        score: What the reward function gave.
        details: Everything else that the reward function returned.
    """

    prompt: str
    response: str
    truth: Any
    score: float
    details: dict[str, Any]


def sampling_seed(*, trial: int, step: int, problem: int, sample: int, benchmark: str | None) -> int:
    """A 31-bit seed that is the same for the same five values on every machine; `benchmark` is None in training."""
    text = f"{trial}/{step}/{problem}/{sample}/{0 if benchmark is None else f'1/{benchmark}'}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


def has_plain_loop(agent_name: str) -> bool:
    """Whether verl builds this agent loop without arguments of its own."""
    return set(_agent_loop_registry.get(agent_name, {})) == {"_target_"}


@contextmanager
def _ending_the_process() -> Iterator[None]:
    """End this process at an error, after printing it.

    verl would note that the prompt failed, leave it out and go on: the arm would then train on other prompts than those
    it is compared with.
    """
    try:
        yield
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


async def _hand_over(answered: list[tuple[str, list[Row]]], partition: str) -> None:
    """Give prompts' rows to verl's trainer, and then say that these prompts are answered."""
    keys, fields, tags = zip(*itertools.chain.from_iterable(rows for _, rows in answered), strict=True)
    samples = list_of_dict_to_tensordict(list(fields))
    await transfer_queue.async_kv_batch_put(list(keys), partition, fields=samples, tags=list(tags))
    finished = [{"status": "finished"} for _ in answered]
    await transfer_queue.async_kv_batch_put([uid for uid, _ in answered], partition, tags=finished)


@ray.remote
class SeededAgentLoopWorker(_AgentLoopWorker):
    """verl's agent-loop worker, with one vLLM sampling seed per sample."""

    _trial_seed = 0
    # Of the trial's training so far: temperatures that were asked for, and samples of each prompt.
    _temperatures: set[float]
    _samples: Counter[str]
    _compute_reward: Callable[..., Any] | None = None

    # Prompts that are answered and not handed over, all of one partition, and whether others are just handed over.
    _answered: list[tuple[str, list[Row]]]
    _handing_over = False
    # Of the trial, and of the rewards that were shaped so far.
    _overlong_buffer = 0
    _shaped_by: set[int]

    def begin_trial(self, seed: int, temperature: float, samples: int, overlong_buffer: int) -> None:
        """Use this trial's seed, training temperature, samples a prompt and overlong shaping from now on."""
        self._trial_seed, self._overlong_buffer, self._shaped_by = seed, overlong_buffer, set()
        rollout = self.config.actor_rollout_ref.rollout
        with open_dict(rollout):
            rollout.temperature, rollout.n = temperature, samples
        self._temperatures, self._samples, self._answered = set(), Counter(), []

    def requested(self) -> tuple[set[float], set[int], set[int]]:
        """Temperatures, samples a prompt and overlong buffers of the trial's training so far."""
        return self._temperatures, set(self._samples.values()), self._shaped_by

    def add_servers(self, servers: dict[str, Any]) -> None:
        """Send requests to these servers from now on; address to handle."""
        client: Any = self.llm_client
        client.add_servers(servers)
        self._gathering_client = BalancingClient(self.config)
        self._gathering_client.add_servers({address: GatheredRequests(one) for address, one in servers.items()})

    @override
    async def _run_prompt(
        self, prompt: dict[str, Any], sampling_params: dict[str, Any], trajectory: dict[str, Any], trace: bool = False
    ) -> None:
        """Answer a prompt with all its samples, and hand them over with those of all prompts answered meanwhile.

        verl hands over each sample by itself, which takes longer than a small model's answer.
        """
        if not has_plain_loop(prompt["agent_name"]) or _OF_VERL & prompt.keys():
            return await super()._run_prompt(prompt, sampling_params, trajectory, trace)
        with _ending_the_process():
            partition = "val" if trajectory["validate"] else "train"
            rollout = self.config.actor_rollout_ref.rollout
            count = rollout.val_kwargs.n if trajectory["validate"] else rollout.n
            loops = self._plain_loops(prompt["agent_name"])
            samples = await asyncio.gather(
                *(self._sample(next(loops), sampling_params, trajectory, number, prompt) for number in range(count))
            )
            self._answered.append((prompt["uid"], list(itertools.chain.from_iterable(samples))))
            if not self._handing_over:
                self._handing_over = True
                while self._answered:
                    answered, self._answered = self._answered, []
                    await _hand_over(answered, partition)
                self._handing_over = False

    async def _sample(
        self,
        loop: Any,
        sampling_params: dict[str, Any],
        trajectory: dict[str, Any],
        number: int,
        prompt: dict[str, Any],
    ) -> list[Row]:
        """One sample as verl's rows of it, one for each output of the agent loop."""
        row = {**prompt, "session_id": number}
        output = await loop.run(self._seeded(sampling_params, trajectory, row), **row)
        outputs = output if isinstance(output, list) else [output]
        for one in outputs:
            one.extra_fields.update(self._length(one.response_ids))
        await self._compute_score(outputs, row)
        graded = outputs[-1]
        found = []
        for turn, one in enumerate(outputs):
            if graded.reward_score is not None:
                one.reward_score = graded.reward_score
                one.extra_fields["reward_extra_info"] = graded.extra_fields["reward_extra_info"]
            tokens = torch.tensor([*one.prompt_ids, *one.response_ids])
            images = self._compute_multi_modal_inputs(one, tokens)
            positions = self._compute_position_ids(tokens.unsqueeze(0), torch.ones_like(tokens).unsqueeze(0), images)
            fields = {**one.as_dict(), **row}
            fields.pop("multi_modal_data", None)
            fields |= {
                "loss_mask": fields["response_mask"],
                "input_ids": tokens,
                "position_ids": positions.squeeze(0),
                "multi_modal_inputs": images,
            }
            tag = {
                "status": "success",
                "prompt_len": len(one.prompt_ids),
                "response_len": len(one.response_ids),
                "seq_len": len(tokens),
                "global_steps": row["global_steps"],
                "min_global_steps": one.extra_fields.get("min_global_steps"),
                "max_global_steps": one.extra_fields.get("max_global_steps"),
            }
            found.append((f"{row['uid']}_{number}_{turn}", fields, tag))
        return found

    @override
    async def _run_agent_loop(self, sampling_params: dict[str, Any], trajectory: dict[str, Any], **rest: Any) -> Any:
        with _ending_the_process():
            return await super()._run_agent_loop(self._seeded(sampling_params, trajectory, rest), trajectory, **rest)

    def _seeded(
        self, sampling_params: dict[str, Any], trajectory: dict[str, Any], row: dict[str, Any]
    ) -> dict[str, Any]:
        """A sample's parameters with its own seed, noted if it is to be trained on."""
        validate = bool(trajectory["validate"])
        seed = sampling_seed(
            trial=self._trial_seed,
            step=int(trajectory["step"]),
            problem=int(trajectory["sample_index"]),
            sample=int(row["session_id"]),
            benchmark=str(row["data_source"]) if validate else None,
        )
        if not validate:
            self._temperatures.add(float(sampling_params["temperature"]))
            self._samples[row["uid"]] += 1
        return {**sampling_params, "seed": seed}

    @override
    async def _compute_score(self, outputs: list[Any], kwargs: dict[str, Any]) -> None:
        """Grade here what verl's naive reward manager would grade; any other is asked in verl's reward process."""
        output, sample = outputs[-1], int(kwargs["session_id"])
        if output.reward_score is None and graded_by_agent_loops(self.config.reward):
            known = {
                **(kwargs.get("extra_info") or {}),
                **output.extra_fields,
                "num_turns": output.num_turns,
                "rollout_reward_scores": kwargs.get("reward_scores", {}),
            }
            output.reward_score, output.extra_fields["reward_extra_info"] = await grade(
                self._reward_function(),
                problem={**kwargs, "extra_info": known},
                response=self.tokenizer.decode(output.response_ids, skip_special_tokens=True),
                sample=sample,
            )
        else:
            await super()._compute_score(outputs, kwargs)
        if output.reward_score is None:
            # A reward model grades later, and its rewards are not shaped.
            self._shaped_by.add(0)
            return
        require_finite(output.reward_score, problem=kwargs, sample=sample)
        self._shape(output, self._overlong_buffer)
        self._shaped_by.add(self._overlong_buffer)

    def _shape(self, output: Any, buffer: int) -> None:
        """Lower the reward of a response that is nearly too long, and keep what it was."""
        if buffer:
            output.extra_fields.setdefault("reward_extra_info", {})[UNSHAPED_REWARD] = float(output.reward_score)
            output.reward_score += overlong_penalty(
                tokens=len(output.response_ids), longest=int(self.rollout_config.response_length), buffer=buffer
            )

    def _reward_function(self) -> Callable[..., Any]:
        if self._compute_reward is None:
            self._compute_reward = get_custom_reward_fn(self.config) or default_compute_score
        return self._compute_reward

    def _plain_loops(self, agent_name: str) -> Iterator[Any]:
        """An agent loop for each sample of a prompt, without end; the same one where it asks once."""
        if agent_name == _SINGLE_TURN:
            return itertools.repeat(self._plain_loop(SharedPromptLoop, self._gathering_client))
        made = get_class(_agent_loop_registry[agent_name]["_target_"])
        return (self._plain_loop(made, self.llm_client) for _ in itertools.count())

    def _plain_loop(self, made: Any, client: Any) -> Any:
        """A new agent loop.

        Without Hydra's instantiation, which merges the whole configuration for every sample: half of this process's
        time.
        """
        return made(
            trainer_config=DictConfigWrap(config=self.config),
            server_manager=client,
            tokenizer=self.tokenizer,
            processor=self.processor,
            hf_model_type=self.hf_model_type,
            dataset_cls=self.dataset_cls,
            data_config=DictConfigWrap(self.config.data),
            tools=ToolListWrap(self.tools),
        )

    async def evaluate(self, problems: list[dict[str, Any]], step: int, samples: int) -> list[EvaluatedSample]:
        """Answer problems and grade the answers; the samples of a problem follow each other.

        Args:
            problems: Rows of the data set.
            step: Training step, a part of each sample's seed.
            samples: Responses to each problem.
        """
        chosen = self.config.actor_rollout_ref.rollout.val_kwargs
        sampling = {
            "temperature": chosen.temperature,
            "top_p": chosen.top_p,
            "top_k": chosen.top_k,
            "repetition_penalty": 1.0,
            "logprobs": False,
        }

        agent = self.config.actor_rollout_ref.rollout.agent.default_agent_loop

        async def answer(problem: dict[str, Any], sample: int, loop: Any) -> EvaluatedSample:
            seed = sampling_seed(
                trial=self._trial_seed,
                step=step,
                problem=int(problem["index"]),
                sample=sample,
                benchmark=str(problem["data_source"]),
            )
            output = await loop.run({**sampling, "seed": seed}, session_id=sample, **problem)
            response = self.tokenizer.decode(output.response_ids, skip_special_tokens=True)
            known = {**(problem.get("extra_info") or {}), **self._length(output.response_ids)}
            score, details = await grade(
                self._reward_function(), problem={**problem, "extra_info": known}, response=response, sample=sample
            )
            prompt = self.tokenizer.decode(output.prompt_ids, skip_special_tokens=True)
            return EvaluatedSample(prompt, response, problem["reward_model"]["ground_truth"], score, details)

        return await asyncio.gather(
            *(
                answer(problem, sample, loop)
                for problem in problems
                for sample, loop in zip(range(samples), self._plain_loops(agent), strict=False)
            )
        )

    def _length(self, response: list[int]) -> dict[str, int | bool]:
        """For the reward function, which sees text alone: it finds these in ``extra_info``.

        vLLM's own reason for ending is not among what verl keeps. A response of full length that does not end with the
        end token was cut off.
        """
        full = len(response) >= int(self.rollout_config.response_length)
        return {
            "response_tokens": len(response),
            "truncated": full and response[-1] != self.tokenizer.eos_token_id,
        }
