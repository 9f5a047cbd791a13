"""Agent loops whose every sample has a random seed of its own.

The seed of a sample depends on the trial's seed, the training step, the problem and the sample's number alone. So arms
with the same trial seed see common random numbers, and a trial that follows another in a warm slot draws what it would
have drawn alone.

Evaluation goes without the training data plane: prompts go to vLLM, texts and verdicts come back. verl's own validation
sends every sample through TransferQueue and a reward process, as if it were to be trained on, which takes several times
as long as generating it.
"""

import asyncio
import functools
import hashlib
import inspect
import math
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from hydra.utils import get_class
from omegaconf import open_dict
from typing_extensions import override
from verl.experimental.agent_loop.agent_loop import DictConfigWrap, ToolListWrap, _agent_loop_registry
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ
from verl.utils.reward_score import default_compute_score

from iskpo.verl.names import ECHOES, OVERLONG_BUFFER, SAMPLES_OF_PROMPT, TEMPERATURE, UNSHAPED_REWARD

if TYPE_CHECKING:
    _AgentLoopWorker = AgentLoopWorkerTQ
else:
    # verl decorates the class with ray.remote, and an actor class cannot be subclassed; the class behind it can.
    _AgentLoopWorker = AgentLoopWorkerTQ.__ray_metadata__.modified_class

# verl makes an agent loop for every sample. This one keeps nothing of a sample, so one can answer all.
_STATELESS = frozenset({"single_turn_agent"})


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


def overlong_penalty(*, tokens: int, longest: int, buffer: int) -> float:
    r"""DAPO's soft overlong punishment (Yu et al. 2025, arXiv 2503.14476, eq. 13), -1 to 0.

    .. math:: \max(-1, \min(0, (L - b - n)/b))

    of a response of n tokens where the longest has L: nothing up to L - b, and 1 off for the longest.

    Args:
        tokens: n.
        longest: L.
        buffer: b, 1 to L.

    Raises:
        ValueError: A buffer that no response is long enough for.

    Example:
        >>> [overlong_penalty(tokens=n, longest=100, buffer=20) for n in (80, 85, 100)]
        [0.0, -0.25, -1.0]
    """
    if not 0 < buffer <= longest:
        raise ValueError(f"overlong_buffer must be from 1 to the longest response, {longest} tokens, got {buffer}")
    return max(-1.0, min(0.0, (longest - buffer - tokens) / buffer))


def has_plain_loop(agent_name: str) -> bool:
    """Whether verl builds this agent loop without arguments of its own."""
    return set(_agent_loop_registry.get(agent_name, {})) == {"_target_"}


@ray.remote
class SeededAgentLoopWorker(_AgentLoopWorker):
    """verl's agent-loop worker, with one vLLM sampling seed per sample."""

    _trial_seed = 0
    # Of the trial's training so far: temperatures that were asked for, and samples of each prompt.
    _temperatures: set[float]
    _samples: Counter[str]
    # Of the trial, and of the rewards that were shaped so far.
    _overlong_buffer = 0
    _shaped_by: set[int]

    def begin_trial(self, seed: int, temperature: float, samples: int, overlong_buffer: int) -> None:
        """Use this trial's seed, training temperature, samples a prompt and overlong shaping from now on."""
        self._trial_seed, self._overlong_buffer, self._shaped_by = seed, overlong_buffer, set()
        rollout = self.config.actor_rollout_ref.rollout
        with open_dict(rollout):
            rollout.temperature, rollout.n = temperature, samples
        self._temperatures, self._samples = set(), Counter()

    def requested(self) -> tuple[set[float], set[int], set[int]]:
        """Temperatures, samples a prompt and overlong buffers of the trial's training so far."""
        return self._temperatures, set(self._samples.values()), self._shaped_by

    def add_servers(self, servers: dict[str, Any]) -> None:
        """Send requests to these servers from now on; address to handle."""
        client: Any = self.llm_client
        client.add_servers(servers)

    @override
    async def _run_agent_loop(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await self._run_seeded(*args, **kwargs)
        except Exception:
            # verl would note that the prompt failed, leave it out and go on: the arm would then train on other prompts
            # than those it is compared with.
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    async def _run_seeded(
        self, sampling_params: dict[str, Any], trajectory: dict[str, Any], *, agent_name: str, **rest: Any
    ) -> Any:
        seed = sampling_seed(
            trial=self._trial_seed,
            step=int(trajectory["step"]),
            problem=int(trajectory["sample_index"]),
            sample=int(rest["session_id"]),
            benchmark=str(rest["data_source"]) if trajectory["validate"] else None,
        )
        seeded = {**sampling_params, "seed": seed}
        if not trajectory["validate"]:
            self._temperatures.add(float(seeded["temperature"]))
            self._samples[rest["uid"]] += 1
        loop = self._plain_loop(agent_name)
        if loop is None:
            return await super()._run_agent_loop(seeded, trajectory, agent_name=agent_name, **rest)
        # What verl does, less its tracing.
        rest.pop("trace", None)
        output = await loop.run(seeded, **rest)
        for one in output if isinstance(output, list) else [output]:
            one.extra_fields.update(self._length(one.response_ids))
        return await self._agent_loop_postprocess(output, trajectory["validate"], **rest)

    @override
    async def _compute_score(self, outputs: list[Any], kwargs: dict[str, Any]) -> None:
        await super()._compute_score(outputs, kwargs)
        if outputs[-1].reward_score is not None:
            require_finite(outputs[-1].reward_score, problem=kwargs, sample=int(kwargs["session_id"]))
            self._shape(outputs[-1], self._overlong_buffer)
            self._shaped_by.add(self._overlong_buffer)
        else:
            # A reward model grades later, and its rewards are not shaped.
            self._shaped_by.add(0)

    def _shape(self, output: Any, buffer: int) -> None:
        """Lower the reward of a response that is nearly too long, and keep what it was."""
        if buffer:
            output.extra_fields.setdefault("reward_extra_info", {})[UNSHAPED_REWARD] = float(output.reward_score)
            output.reward_score += overlong_penalty(
                tokens=len(output.response_ids), longest=int(self.rollout_config.response_length), buffer=buffer
            )

    def _plain_loop(self, agent_name: str) -> Any:
        """A new agent loop, or None for one that needs arguments of its own.

        Without Hydra's instantiation, which merges the whole configuration for every sample: half of this process's
        time.
        """
        if not has_plain_loop(agent_name):
            return None
        return get_class(_agent_loop_registry[agent_name]["_target_"])(
            trainer_config=DictConfigWrap(config=self.config),
            server_manager=self.llm_client,
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
        compute_score = get_custom_reward_fn(self.config) or default_compute_score
        chosen = self.config.actor_rollout_ref.rollout.val_kwargs
        sampling = {
            "temperature": chosen.temperature,
            "top_p": chosen.top_p,
            "top_k": chosen.top_k,
            "repetition_penalty": 1.0,
            "logprobs": False,
        }

        name = self.config.actor_rollout_ref.rollout.agent.default_agent_loop
        shared = self._plain_loop(name) if name in _STATELESS else None

        async def answer(problem: dict[str, Any], sample: int) -> EvaluatedSample:
            seed = sampling_seed(
                trial=self._trial_seed,
                step=step,
                problem=int(problem["index"]),
                sample=sample,
                benchmark=str(problem["data_source"]),
            )
            loop = shared or self._plain_loop(name)
            output = await loop.run({**sampling, "seed": seed}, session_id=sample, **problem)
            response = self.tokenizer.decode(output.response_ids, skip_special_tokens=True)
            known = {**(problem.get("extra_info") or {}), **self._length(output.response_ids)}
            score, details = await grade(
                compute_score, problem={**problem, "extra_info": known}, response=response, sample=sample
            )
            prompt = self.tokenizer.decode(output.prompt_ids, skip_special_tokens=True)
            return EvaluatedSample(prompt, response, problem["reward_model"]["ground_truth"], score, details)

        return await asyncio.gather(*(answer(problem, sample) for problem in problems for sample in range(samples)))

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


class SeededAgentLoopManager(AgentLoopManagerTQ):
    """Starts seeded agent-loop workers and tells them when a trial begins."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin as verl's manager does, with our workers."""
        super().__init__(*args, **kwargs)
        self.agent_loop_workers_class: Any = SeededAgentLoopWorker

    def add_servers(self, servers: dict[str, Any]) -> None:
        """Tell every worker where to send requests, and wait until each knows."""
        workers: list[Any] = self.agent_loop_workers
        ray.get([worker.add_servers.remote(servers) for worker in workers])

    def begin_trial(self, *, seed: int, temperature: float, samples: int, overlong_buffer: int) -> None:
        """Pass what the trial samples and shapes rewards by to every worker, and wait until each has it."""
        workers: list[Any] = self.agent_loop_workers
        ray.get([worker.begin_trial.remote(seed, temperature, samples, overlong_buffer) for worker in workers])

    def echo(self) -> dict[str, float]:
        """Temperature, samples a prompt and overlong buffer of all of the trial's training so far.

        Raises:
            RuntimeError: They were not the same in all.
        """
        workers: list[Any] = self.agent_loop_workers
        parts = ray.get([worker.requested.remote() for worker in workers])
        found = [set().union(*of_workers) for of_workers in zip(*parts, strict=True)]
        if any(len(values) != 1 for values in found):
            raise RuntimeError(f"training had several temperatures, samples a prompt or overlong buffers: {found}")
        names = (TEMPERATURE, SAMPLES_OF_PROMPT, OVERLONG_BUFFER)
        return {ECHOES[name]: float(values.pop()) for name, values in zip(names, found, strict=True)}

    def evaluate(self, *, problems: list[dict[str, Any]], step: int, samples: int) -> list[EvaluatedSample]:
        """Answer and grade on all workers; the answers come in the order of the problems.

        Args:
            problems: Rows of the data set.
            step: Training step, a part of each sample's seed.
            samples: Responses to each problem.
        """
        workers: list[Any] = self.agent_loop_workers
        share = -(-len(problems) // len(workers))
        parts = [problems[start : start + share] for start in range(0, len(problems), share)]
        answered = ray.get(
            [
                worker.evaluate.remote(part, step=step, samples=samples)
                for worker, part in zip(workers, parts, strict=False)
            ]
        )
        return [sample for part in answered for sample in part]


async def grade(
    compute_score: Callable[..., Any], *, problem: dict[str, Any], response: str, sample: int
) -> tuple[float, dict[str, Any]]:
    """Call a reward function as verl's naive reward manager does.

    Args:
        compute_score: verl's ``compute_score(data_source, solution_str, ground_truth, extra_info)``; may be a coroutine
            function, and otherwise runs in a thread, for it may block.
        problem: A row of the data set.
        response: The decoded response.
        sample: The response's number among those to the problem.

    Returns:
        The score, and all that the function returned.

    Raises:
        ValueError: The score is NaN or infinite.
    """
    call = functools.partial(
        compute_score,
        data_source=problem["data_source"],
        solution_str=response,
        ground_truth=problem["reward_model"]["ground_truth"],
        extra_info=dict(problem.get("extra_info") or {}),
    )
    result = await call() if inspect.iscoroutinefunction(compute_score) else await asyncio.to_thread(call)
    score, details = (result["score"], result) if isinstance(result, dict) else (result, {"acc": result})
    require_finite(float(score), problem=problem, sample=sample)
    return float(score), details


def require_finite(score: float, *, problem: dict[str, Any], sample: int) -> None:
    """Refuse a score that would make every advantage of its problem NaN.

    Raises:
        ValueError: The score is NaN or infinite; the message names data set, problem and sample.
    """
    if not math.isfinite(score):
        known = problem.get("extra_info") or {}
        name = known.get("problem_id", problem.get("index"))
        raise ValueError(
            f"the reward function gives {score} to sample {sample} of prompt {name!r} of {problem['data_source']}; "
            "a score must be finite"
        )


def rows_of(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of what verl's data loader yields: one value a name and row."""
    count = len(batch["raw_prompt"])
    return [{name: values[row] for name, values in batch.items()} for row in range(count)]
