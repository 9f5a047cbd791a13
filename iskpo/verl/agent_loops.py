"""The trainer's end of the agent loops: it starts the workers, and tells them of trials and evaluations."""

from typing import Any

import ray
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ

from iskpo.verl.names import ECHOES, OVERLONG_BUFFER, SAMPLES_OF_PROMPT, TEMPERATURE
from iskpo.verl.rollout import EvaluatedSample, SeededAgentLoopWorker


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


def rows_of(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of what verl's data loader yields: one value a name and row."""
    count = len(batch["raw_prompt"])
    return [{name: values[row] for name, values in batch.items()} for row in range(count)]
