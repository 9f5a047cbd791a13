"""verl's actor and rollout worker, able to begin a new trial in place and to report exact innovation statistics."""

import gc
import random
from functools import partial
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


class _CountingTrainer(TrainingWorker):
    """verl's trainer of one model, which says when an update begins."""

    @override
    def train_batch(self, data: Any) -> Any:
        tracing.begin_update()
        return super().train_batch(data)


class TrialWorker(ActorRolloutRefWorker):
    """One rank of the policy: FSDP model, optimizer and the sending end of weight updates."""

    actor_worker_cls = _CountingTrainer

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    def begin_trial(self, actor: DictConfig, seed: int, traced_sequences: int, step: int) -> None:
        """Forget the last trial: base weights, new optimizer and schedule, new random numbers, new loss parameters.

        Args:
            actor: verl's `actor_rollout_ref.actor` of the new trial.
            seed: Seed of this trial; ranks draw different streams from it.
            traced_sequences: Sequences of each step whose log ratios are to be kept.
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
        trained.reset()
        self.loss_fn = partial(tracing.traced_ppo_loss, config=configuration)
        trained.set_loss_fn(self.loss_fn)
        recorder.collect()
        tracing.begin_trial(capacity=traced_sequences, seed=seed, rank=engine.get_data_parallel_rank(), step=step)

    @register(dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="actor"))
    @override
    def update_actor(self, data: Any) -> Any:
        """All mini-batches of one training step, with the step's exact metrics beside verl's own."""
        recorder.collect()
        tracing.begin_step()
        output = super().update_actor(data)
        trained: Any = self.actor
        step = recorder.merge_over_ranks(recorder.collect(), trained.engine.get_data_parallel_group())
        if output is not None:
            # One value a name, so that verl's mean over a list of one leaves it as it is.
            tu.get(output, "metrics").update({name: [value] for name, value in step.as_metrics().items()})
        return output

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[attr-defined]
    def collect_trace(self) -> StepTrace | None:
        """This rank's sample of the step; None where none is kept, or where another process has the same sequences."""
        trained: Any = self.actor
        return tracing.take() if trained.engine.is_mp_src_rank_with_outputs() else None
