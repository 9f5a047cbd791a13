"""Traces of log ratios, taken in the process whose loss computes them.

verl hands a policy loss tensors alone, without saying whose they are. So the worker's loss function says it first
(`traced_ppo_loss`), the loss then offers its log ratios (`offer`), and one sample of the step's sequences is kept.
IS-KPO's loss does so itself; each of the others that verl knows is called through `observed`, which changes neither
its arguments nor its value.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY
from verl.utils import tensordict_utils as tu
from verl.workers.utils.losses import ppo_loss

from iskpo.replay.traces import Reservoir, SequenceTrace, StepTrace
from iskpo.verl import recorder
from iskpo.verl.names import LOSS_MODE

_PolicyLoss = Callable[..., tuple[torch.Tensor, dict[str, Any]]]


@dataclass
class _Labels:
    """Whose sequences the rows of a micro-batch are; each list has one entry a row."""

    problem_id: list[str]
    sample: list[int]
    reward: list[float]


@dataclass
class _Tracer:
    """One trial's sampling on one rank."""

    capacity: int
    seed: int
    rank: int
    step: int = 0
    micro_batch: int = -1
    labels: _Labels | None = None
    reservoir: Reservoir = field(init=False)

    def begin_step(self) -> None:
        self.step += 1
        self.reservoir = Reservoir(capacity=self.capacity, seed=(self.seed, self.step, self.rank))


_tracer: _Tracer | None = None
_update = -1


def begin_trial(*, capacity: int, seed: int, rank: int, step: int = 0) -> None:
    """Begin to sample for a trial.

    Args:
        capacity: Sequences to keep of each training step; 0 for none.
        seed: The trial's seed: arms that share it keep the same places of their batches.
        rank: This process among the data-parallel ranks.
        step: Steps that the trial has behind it.
    """
    observe_all()
    global _tracer
    _tracer = _Tracer(capacity, seed, rank, step) if capacity else None


def begin_step() -> None:
    """Forget the last step's sample; called by the worker before the first update of a step."""
    global _update
    _update = -1
    if _tracer is not None:
        _tracer.begin_step()


def begin_update() -> None:
    """Count an optimizer update; called by the worker before its first micro-batch."""
    global _update
    _update += 1
    if _tracer is not None:
        _tracer.micro_batch = -1


def current_update() -> int:
    """Number of the optimizer update within its step, from 0."""
    return max(_update, 0)


def traced_ppo_loss(config: Any, model_output: Any, data: TensorDict, dp_group: Any = None) -> Any:
    """verl's `ppo_loss`, which calls the policy loss, after noting which loss and whose sequences the rows are."""
    echo = recorder.LossEcho(
        mode=config.policy_loss.loss_mode,
        clip_low=config.clip_ratio_low,
        clip_high=config.clip_ratio_high,
        outside_share=getattr(config.policy_loss, "outside_share", None),
        correction=_correction(data),
    )
    recorder.record(recorder.StepRecord(losses={echo}))
    if _tracer is not None:
        _tracer.micro_batch += 1
        _tracer.labels = _labels(data)
    return ppo_loss(config=config, model_output=model_output, data=data, dp_group=dp_group)


def _correction(data: TensorDict) -> recorder.Correction:
    if "rollout_is_weights" in data:
        return "weights"
    if "rollout_log_probs" not in data:
        return "none"
    old, sampled = (data[name] for name in ("old_log_probs", "rollout_log_probs"))
    same = torch.equal(*(values.values() if values.is_nested else values for values in (old, sampled)))
    return "bypass" if same else "none"


def offer(z: torch.Tensor, old_log_prob: torch.Tensor, mask: torch.Tensor) -> None:
    """Let the sample have the log ratios of one micro-batch; called by the loss.

    Args:
        z: What the filter was given, (B, T), without gradient.
        old_log_prob: Log-probabilities under the policy that generated the batch, (B, T).
        mask: True on observed tokens, (B, T).
    """
    if _tracer is None or _tracer.labels is None:
        return
    labels, _tracer.labels = _tracer.labels, None
    # verl fills batches up with sequences of which no token counts.
    rows = mask.any(1).nonzero().flatten().tolist()
    drawn = _tracer.reservoir.draw(len(rows))
    if not drawn:
        return
    wanted = [rows[place] for place, _ in drawn]
    # Only what is kept leaves the device.
    both = torch.stack([z[wanted], old_log_prob[wanted]], 1).float()
    values = torch.where(mask[wanted].unsqueeze(1), both, torch.nan).cpu().numpy()
    for (_, key), row, (log_ratios, old) in zip(drawn, wanted, values, strict=True):
        end = int(np.flatnonzero(~np.isnan(log_ratios))[-1]) + 1
        _tracer.reservoir.keep(
            key,
            SequenceTrace(
                update=current_update(),
                rank=_tracer.rank,
                micro_batch=_tracer.micro_batch,
                row=row,
                shape=(mask.shape[0], mask.shape[1]),
                problem_id=labels.problem_id[row],
                sample=labels.sample[row],
                reward=labels.reward[row],
                z=log_ratios[:end].copy(),
                old_log_prob=old[:end].copy(),
            ),
        )


def observed(loss: _PolicyLoss) -> _PolicyLoss:
    """The same loss, which offers its log ratios and records their sum; called by keywords, as verl does."""

    @functools.wraps(loss)
    def call(
        *, old_log_prob: torch.Tensor, log_prob: torch.Tensor, response_mask: torch.Tensor, **others: Any
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        with torch.no_grad():
            z, mask = log_prob - old_log_prob, response_mask.bool()
            offer(z, old_log_prob, mask)
            # Fetched together: every number fetched waits for the device.
            sums = torch.stack([torch.where(mask, z, 0).sum(dtype=torch.float64), mask.sum().double()])
            log_ratio_sum, tokens = sums.tolist()
            recorder.record(recorder.StepRecord(log_ratio_sum=log_ratio_sum, tokens=int(tokens)))
        return loss(old_log_prob=old_log_prob, log_prob=log_prob, response_mask=response_mask, **others)

    return call


def observe_all() -> None:
    """Call every loss that verl knows, but for IS-KPO's own, through `observed`; calling twice changes nothing."""
    for name, loss in POLICY_LOSS_REGISTRY.items():
        if name != LOSS_MODE and not hasattr(loss, "__wrapped__"):
            POLICY_LOSS_REGISTRY[name] = observed(loss)


def take() -> StepTrace | None:
    """The sample of the step that was trained last; None where none is taken."""
    return None if _tracer is None else _tracer.reservoir.take()


def _labels(data: TensorDict) -> _Labels:
    """As the agent loop put them beside the tokens: the data's row, the sample's number, the reward's token scores."""
    count = len(data)
    infos = _listed(data, "extra_info", count)
    indices = _listed(data, "index", count)
    return _Labels(
        problem_id=[str((info or {}).get("problem_id", index)) for info, index in zip(infos, indices, strict=True)],
        sample=[int(number) for number in _listed(data, "session_id", count)],
        reward=[float(scores.sum()) for scores in data["rm_scores"].unbind()],
    )


def _listed(data: TensorDict, name: str, count: int) -> list[Any]:
    """A field as one value a row; tensordict gives a single value where all rows hold the same."""
    value = tu.get(data, name)
    if isinstance(value, torch.Tensor):
        return list(value.tolist())
    return list(value) if isinstance(value, list) else [value] * count
