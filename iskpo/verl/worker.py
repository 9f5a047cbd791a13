"""verl's actor and rollout worker, able to begin a new trial in place and to report exact innovation statistics."""

import gc
import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from typing_extensions import override
from verl.single_controller.base.decorator import Dispatch, make_nd_compute_dataproto_dispatch_fn, register
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.device import get_torch_device
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker

from iskpo.replay.traces import StepTrace
from iskpo.verl import recorder, tracing
from iskpo.verl.names import ECHOES, LEARNING_RATE

# Samples that one update was given, all ranks together: the trainer makes prompts of it.
UPDATE_SAMPLES = "update/samples"
# In a checkpoint's folder of the policy.
_BEFORE = "step_before.json"


class _CountingTrainer(TrainingWorker):
    """verl's trainer of one model, which says when an update begins and counts the samples of each."""

    update_sizes: set[int]

    @override
    def train_batch(self, data: Any) -> Any:
        self.update_sizes.add(len(data))
        tracing.begin_update()
        return super().train_batch(data)


class TrialWorker(ActorRolloutRefWorker):
    """One rank of the policy: FSDP model, optimizer and the sending end of weight updates."""

    actor_worker_cls = _CountingTrainer

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    def begin_trial(
        self, actor: DictConfig, seed: int, traced_sequences: int, log_prob_micro_batch: int | None, step: int
    ) -> None:
        """Forget the last trial: base weights, new optimizer and schedule, new random numbers, new loss parameters.

        Args:
            actor: verl's `actor_rollout_ref.actor` of the new trial.
            seed: Seed of this trial; ranks draw different streams from it.
            traced_sequences: Sequences of each step whose log ratios are to be kept.
            log_prob_micro_batch: Samples of a micro-batch where log-probabilities are computed without gradient.
            step: Steps that the checkpoint has behind it which will be loaded; 0 without one.
        """
        random.seed(seed + self.rank)
        np.random.seed(seed + self.rank)
        torch.manual_seed(seed + self.rank)
        self.config.actor = actor
        configuration = omega_conf_to_dataclass(actor)
        trained: Any = self.actor
        configuration.model_config = trained.model_config
        engine = trained.engine
        # The old model goes first: two of them need not fit.
        engine.module = engine.optimizer = engine.lr_scheduler = engine.checkpoint_manager = None
        gc.collect()
        get_torch_device().empty_cache()
        trained.optimizer_config = configuration.optim
        engine.optimizer_config = configuration.optim
        trained.engine_config.micro_batch_size_per_gpu = configuration.ppo_micro_batch_size_per_gpu
        trained.engine_config.infer_micro_batch_size_per_gpu = log_prob_micro_batch
        trained.reset()
        self.loss_fn = partial(tracing.traced_ppo_loss, config=configuration)
        trained.set_loss_fn(self.loss_fn)
        recorder.begin_trial()
        tracing.begin_trial(capacity=traced_sequences, seed=seed, rank=engine.get_data_parallel_rank(), step=step)

    @register(dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="actor"))
    @override
    def update_actor(self, data: Any) -> Any:
        """All mini-batches of one training step, with the step's exact metrics beside verl's own."""
        recorder.collect()
        tracing.begin_step()
        trained: Any = self.actor
        trained.update_sizes = set()
        output = super().update_actor(data)
        step = recorder.merge_over_ranks(recorder.collect(), trained.engine.get_data_parallel_group())
        recorder.end_step(step)
        if output is not None:
            # One value a name, so that verl's mean over a list of one leaves it as it is.
            metrics = {**step.as_metrics(), **self._echo()}
            tu.get(output, "metrics").update({name: [value] for name, value in metrics.items()})
        return output

    def _echo(self) -> dict[str, float]:
        """The learning rate and the samples of an update, of the optimizer and of the updates themselves.

        Raises:
            RuntimeError: The updates of the step, or the optimizer's parameter groups, differ.
        """
        trained: Any = self.actor
        # What a schedule began with; without one the rate itself.
        rates = {group.get("initial_lr", group["lr"]) for group in trained.engine.optimizer.param_groups}
        if len(rates) > 1 or len(trained.update_sizes) > 1:
            raise RuntimeError(f"one step ran with several learning rates or sizes: {rates}, {trained.update_sizes}")
        (rate,), (samples,) = rates, trained.update_sizes
        ranks = trained.engine.get_data_parallel_size()
        return {ECHOES[LEARNING_RATE]: float(rate), UPDATE_SAMPLES: float(samples * ranks)}

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    @override
    def save_checkpoint(self, local_path: str, *args: Any, **kwargs: Any) -> None:
        """As verl does, with what the next step's threshold and bounds follow from."""
        super().save_checkpoint(local_path, *args, **kwargs)
        if self.rank == 0 and (before := recorder.step_before()) is not None:
            (Path(local_path) / _BEFORE).write_text(before.as_json(), encoding="utf-8")

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    @override
    def load_checkpoint(self, local_path: str, *args: Any, **kwargs: Any) -> None:
        """As verl does; checkpoints of earlier versions have no step before, and no arm that asks for it."""
        before = Path(local_path) / _BEFORE
        recorder.begin_trial(
            recorder.StepRecord.from_json(before.read_text(encoding="utf-8")) if before.is_file() else None
        )
        super().load_checkpoint(local_path, *args, **kwargs)

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    def collect_trace(self) -> StepTrace | None:
        """This rank's sample of the step; None where none is kept, or where another process has the same sequences."""
        trained: Any = self.actor
        return tracing.take() if trained.engine.is_mp_src_rank_with_outputs() else None
