"""verl's synchronous v1 trainer, able to run one trial after another on the same workers and vLLM server."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import ray
import transfer_queue
from omegaconf import DictConfig, OmegaConf, open_dict
from typing_extensions import override
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tensordicts
from verl.utils.debug import marked_timer

from iskpo.closed_form import realised_gain
from iskpo.innovation_histogram import FILTER_METRICS, METRIC_PREFIX
from iskpo.innovation_moments import METRIC_PREFIX as MOMENTS_PREFIX
from iskpo.replay.logged_statistics import DIVERGENCE
from iskpo.replay.traces import StepTrace, capacity_for, write_traces
from iskpo.verl.agent_loops import SeededAgentLoopManager, rows_of
from iskpo.verl.batches import partitions, read_by_policy, restore_order
from iskpo.verl.checkpoint import EVENTS, Checkpointing, CheckpointWriter, CutOff
from iskpo.verl.dynamic_sampling import RoundsReplayBuffer
from iskpo.verl.llm_servers import BalancingClient, servers_beside
from iskpo.verl.names import ECHO_KEY, ECHOES, MINI_BATCH, OVERLONG_BUFFER, SAMPLES_OF_PROMPT, echo
from iskpo.verl.reservation import ReservedPools, reserved_group
from iskpo.verl.rollout import has_plain_loop
from iskpo.verl.worker import UPDATE_SAMPLES, TrialWorker

# verl looks for finished samples every two seconds, which is most of a small model's step.
_POLL_SECONDS = 0.05
_OURS = (*FILTER_METRICS, DIVERGENCE, "loss/", "setting/", METRIC_PREFIX, MOMENTS_PREFIX)


@contextmanager
def _in_place_of(name: str, ours: Any) -> Iterator[None]:
    """Have verl take ours: it looks the name up in its module, and offers no other way to choose."""
    theirs = getattr(trainer_base, name)
    setattr(trainer_base, name, ours)
    try:
        yield
    finally:
        setattr(trainer_base, name, theirs)


class Listener(Protocol):
    """What a trial reports to."""

    def log(self, data: dict[str, Any], step: int) -> None:
        """Metrics of one training step (or of the evaluation before the first)."""

    def samples(self, path: Path, step: int) -> None:
        """Every sample of one evaluation, one JSON object a line."""

    def traces(self, path: Path, step: int) -> None:
        """Log ratios of one training step, as `iskpo.replay.traces` writes them."""

    def progress(self, what: str, step: int) -> None:
        """A sign of life, for the watchdog."""

    def keep(self, path: Path) -> None:
        """Write all that the trial has reported so far to a file of its checkpoint."""

    def repeat(self, path: Path) -> None:
        """Report again what `keep` wrote: the trial goes on from that checkpoint."""


class TrialTrainer(PPOTrainerSync):
    """One slot's trainer: `init` once, then `begin_trial` and `fit` for every trial."""

    _listener: Listener
    agent_loops: SeededAgentLoopManager

    def __init__(self, *, config: DictConfig, transfer_queue_started: "Future[Any]") -> None:
        """Prepare; `init` starts the processes."""
        super().__init__(config)
        self._transfer_queue_started = transfer_queue_started

    @override
    def init(self) -> None:
        """Start every process. Weights go to vLLM when a trial begins."""
        self._setup()

    @override
    def _setup(self) -> None:
        with _in_place_of("LLMServerManager", servers_beside(agent_loops=self._start_agent_loops)):
            super()._setup()
        servers = self.llm_server_manager
        self.agent_loops.add_servers(dict(zip(servers.server_addresses, servers.server_handles, strict=True)))

    async def _start_agent_loops(self, client: BalancingClient) -> None:
        self._transfer_queue_started.result()
        self.agent_loops = await SeededAgentLoopManager.create(
            config=self.config,
            llm_client=client,
            teacher_client=self.get_teacher_client(),
            reward_loop_worker_handles=self.get_reward_handles(),
        )

    @property  # type: ignore[override, explicit-override]
    @override
    def logger(self) -> Listener:
        """Where `fit` logs: the trial's listener."""
        return self._listener

    @logger.setter
    @override
    def logger(self, tracking: Any) -> None:
        """verl's own trackers stay off: MLflow has one owner."""

    @override
    def _build_replay_buffer(self) -> Any:
        # verl's own keeps order of arrival.
        with _in_place_of("ReplayBuffer", RoundsReplayBuffer):
            replay_buffer = super()._build_replay_buffer()
        replay_buffer.poll_interval = _POLL_SECONDS
        return replay_buffer

    @override
    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        (role,) = [role for role in self.role_worker_mapping if str(role).startswith("actor")]
        self.role_worker_mapping[role] = ray.remote(TrialWorker)
        if reserved_group() is not None:
            pools = self.resource_pool_manager
            self.resource_pool_manager = ReservedPools(pools.resource_pool_spec, pools.mapping)

    def begin_trial(
        self,
        *,
        config: DictConfig,
        seed: int,
        listener: Listener,
        checkpoints: Checkpointing,
        settings: dict[str, Any],
    ) -> None:
        """Reset everything that a trial can leave behind, and take the new trial's configuration.

        Args:
            config: Complete verl configuration of the trial; only what needs no new process may differ from the first.
            seed: The trial's seed.
            listener: What the trial reports to.
            checkpoints: How the trial is checkpointed, and what it goes on from.
            settings: The trial's, as its checkpoints keep them.
        """
        self._listener = listener
        self._checkpoints, self._unfinished_checkpoint = CheckpointWriter(plan=checkpoints, settings=settings), False
        with open_dict(self.config):
            self.config.merge_with(config)
        if self.config.actor_rollout_ref.rollout.free_cache_engine:
            # The evaluation before left vLLM awake: its cache and a new policy need not fit into a GPU side by side.
            self.checkpoint_manager.sleep_replicas()
        for partition, items in (transfer_queue.kv_list() or {}).items():
            if items:
                transfer_queue.kv_clear(keys=list(items), partition_id=partition)
        self.replay_buffer = self._build_replay_buffer()
        self._init_dataloader()
        self._init_dump_executor()
        self._traced_sequences = capacity_for(
            megabytes=self.config.trainer.get("trace_megabytes", 0),
            steps=self.config.trainer.total_training_steps,
            tokens=self.config.data.max_response_length,
        )
        rollout = self.config.actor_rollout_ref.rollout
        self.actor_rollout_wg.begin_trial(
            self.config.actor_rollout_ref.actor,
            seed,
            self._traced_sequences,
            rollout.log_prob_micro_batch_size_per_gpu,
            checkpoints.step,
        )
        self.agent_loops.begin_trial(
            seed=seed,
            temperature=rollout.temperature,
            samples=rollout.n,
            overlong_buffer=OmegaConf.select(self.config, OVERLONG_BUFFER, default=0),
        )
        self.global_steps = 0
        self._prompts_drawn = 0
        self.local_trigger_step = 0
        self._pending_sync_metrics: dict[str, Any] = {}
        with open_dict(self.config):
            self.config.trainer.default_local_dir = str(self._checkpoints.writing)
        if checkpoints.resumed:
            self._resume(Path(checkpoints.resumed))
        # Sends the weights to vLLM, which then drops its prefix cache.
        self.on_init_end()
        listener.progress("ready", self.global_steps)

    def _resume(self, checkpoint: Path) -> None:
        with open_dict(self.config):
            self.config.trainer.resume_mode, self.config.trainer.resume_from_path = "resume_path", str(checkpoint)
            # That evaluation is among what is reported again.
            self.config.trainer.val_before_train = False
        try:
            self._load_checkpoint()
        except ray.exceptions.RayTaskError as error:
            raise RuntimeError(f"the checkpoint {checkpoint} cannot be loaded; delete it to begin anew") from error
        self._listener.repeat(checkpoint / EVENTS)

    @override
    def on_step_begin(self) -> None:
        """Complete the checkpoint of the step before, which has been reported by now, and report that a step begins.

        Raises:
            CutOff: The trial is to end.
        """
        super().on_step_begin()
        if self._unfinished_checkpoint:
            self._unfinished_checkpoint = False
            self._checkpoints.complete(step=self.global_steps - 1, keep=self._listener.keep)
            if self._checkpoints.to_end:
                raise CutOff(self.global_steps - 1)
        self._listener.progress("step", self.global_steps)

    @override
    def on_step_end(self) -> None:
        """Write a checkpoint, if one is due, and send the new weights to vLLM.

        Written where verl would, while vLLM sleeps and leaves a GPU its memory.
        """
        if self.global_steps < self.total_training_steps and self._checkpoints.due(self.global_steps):
            self._listener.progress("checkpoint", self.global_steps)
            with marked_timer("save_checkpoint", self.timing_raw):
                self._save_checkpoint()
            self._unfinished_checkpoint = True
        super().on_step_end()

    @override
    def on_sample_end(self) -> None:
        """Report that the samples of a step are complete."""
        super().on_sample_end()
        self._listener.progress("log_probs", self.global_steps)

    @override
    def on_validate_begin(self) -> None:
        """Report that an evaluation begins."""
        super().on_validate_begin()
        self._listener.progress("evaluation", self.global_steps)

    @override
    def _fetch_one_gen_batch(self) -> Any:
        # verl names prompts at random; counted names let `_balance_batch` restore the order of the data.
        batch = super()._fetch_one_gen_batch()
        count = len(batch)
        tensordicts.assign_non_tensor_stack(
            batch, "uid", [f"{self._prompts_drawn + number:09d}" for number in range(count)]
        )
        self._prompts_drawn += count
        return batch

    @override
    def _balance_batch(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        restore_order(batch)
        with _in_place_of("get_seqlen_balanced_partitions", partitions):
            return super()._balance_batch(batch, metrics, *args, **kwargs)

    @override
    def step(self, metrics: dict[str, Any], timing_raw: dict[str, Any]) -> Any:
        """Take a step as verl does, with the loss's metrics as the loss computed them.

        verl multiplies each by the number of samples and divides again, which moves the last digit.
        """
        self._of_the_loss: dict[str, Any] = {}
        batch = super().step(metrics, timing_raw)
        if self.parameter_sync_step == 1:
            metrics.update(self._of_the_loss)
        return batch

    @override
    def _compute_old_log_prob(self, batch: Any, metrics: dict[str, Any]) -> Any:
        return super()._compute_old_log_prob(read_by_policy(batch), metrics)

    @override
    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        self._listener.progress("update", self.global_steps)
        batch = super()._update_actor(read_by_policy(batch), metrics)
        for name in [name for name in metrics if name.removeprefix("actor/").startswith(_OURS)]:
            metrics[name.removeprefix("actor/")] = metrics.pop(name)
        self._of_the_loss = {name: value for name, value in metrics.items() if name.startswith(_OURS)}
        if self._traced_sequences:
            self._write_trace()
        return batch

    def _write_trace(self) -> None:
        ranks = [part for part in self.actor_rollout_wg.collect_trace() if part is not None]
        trace = StepTrace([], 0)
        for part in ranks:
            trace = trace.merge(part, capacity=self._traced_sequences)
        path = Path(self.config.trainer.trace_folder) / f"step_{self.global_steps:04d}.parquet"
        write_traces(path, step=self.global_steps, trace=trace)
        self._listener.traces(path, self.global_steps)

    @override
    def _compute_metrics(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        # The setting that verl computed this step's advantages by.
        metrics[f"advantage/{self.config.algorithm.adv_estimator}"] = 1.0
        metrics.update(self.agent_loops.echo())
        metrics[ECHOES[MINI_BATCH]] = metrics.pop(f"actor/{UPDATE_SAMPLES}") / metrics[ECHOES[SAMPLES_OF_PROMPT]]
        for key in self.config.trainer.get(ECHO_KEY, ()):
            metrics.update(echo(key, OmegaConf.select(self.config, key)))
        if "kalman/gain_mean" in metrics:
            # From the rollouts' own lengths, not from inside the loss: the two must agree.
            data = transfer_queue.kv_batch_get(
                keys=batch.keys, partition_id=batch.partition_id, select_fields=["response_mask"]
            )
            lengths = [int(mask.sum()) for mask in data["response_mask"].unbind()]
            policy_loss = self.config.actor_rollout_ref.actor.policy_loss
            metrics["kalman/gain_closed_form"] = realised_gain(
                lengths=[length for length in lengths if length],
                q=policy_loss.q,
                v=policy_loss.v,
                p0=policy_loss.get("p0", 0.0),
            )

    @override
    def _validate(self) -> dict[str, float]:
        rollout, reward = self.config.actor_rollout_ref.rollout, self.config.reward
        if reward.reward_model.enable or not has_plain_loop(rollout.agent.default_agent_loop):
            return dict(super()._validate())
        problems = [row for batch in self.val_dataloader for row in rows_of(batch)]
        answered = self.agent_loops.evaluate(
            problems=problems, step=self.global_steps, samples=int(rollout.val_kwargs.n)
        )
        if folder := self.config.trainer.get("validation_data_dir", None):
            names = dict.fromkeys(name for sample in answered for name in sample.details)
            self._dump_generations(
                inputs=[sample.prompt for sample in answered],
                outputs=[sample.response for sample in answered],
                gts=[sample.truth for sample in answered],
                scores=[sample.score for sample in answered],
                reward_extra_infos_dict={name: [sample.details.get(name) for sample in answered] for name in names},
                dump_path=folder,
            )
        return {"evaluation/samples": float(len(answered))}

    @override
    def _dump_generations(
        self,
        inputs: list[str],
        outputs: list[str],
        gts: list[Any],
        scores: list[float],
        reward_extra_infos_dict: dict[str, list[Any]],
        dump_path: str,
    ) -> None:
        # Written before anything is reported, so that no one reads half a file.
        self._write_generations(inputs, outputs, gts, scores, reward_extra_infos_dict, dump_path, self.global_steps)
        if Path(dump_path) == Path(self.config.trainer.validation_data_dir or ""):
            self._listener.samples(Path(dump_path) / f"{self.global_steps}.jsonl", self.global_steps)

    @override
    def _val_metrics_update(self, data_sources: list[str], *_: Any, **__: Any) -> dict[str, float]:
        # Not verl's: its best@N is a bootstrap, not pass@N. Accuracy is computed from the samples.
        return {"evaluation/samples": float(len(data_sources))}
