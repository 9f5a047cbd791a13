"""verl's own configuration classes and loss functions take what an arm becomes."""

import copy
import functools
import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from omegaconf import OmegaConf, open_dict
from verl.trainer.config import AlgoConfig
from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn
from verl.trainer.ppo.v1.replay_buffer import FILTER_GROUPS_REWARD_METRIC
from verl.utils.config import omega_conf_to_dataclass

from iskpo.verl.composition import compose
from iskpo.verl.names import LOSS_MODE, UNSHAPED_REWARD
from sweep.arms.arm import Arm
from sweep.arms.losses import NEIGHBOURS, Advantage
from sweep.engine.settings import session_overrides, trial_overrides
from sweep.profiles.profile import load_profile
from sweep.study.plan import TrialPlan
from sweep.study.study import Study
from sweep.tasks import PreparedTask

_ISKPO = Arm(name="iskpo", q=1e-6, v=1e-2, kappa=1.0)
_ARMS = [_ISKPO, *(Arm(name=loss, loss=loss, dynamic_sampling=loss == "dapo") for loss in NEIGHBOURS)]


@functools.cache
def _base() -> dict[str, Any]:
    space = {"kind": "arms", "arms": [{"name": "iskpo", "q": 1e-6, "v": 1e-2, "kappa": 1}]}
    study = Study.model_validate({"name": "s", "space": space, "steps": 2})
    task = PreparedTask(
        model_dir=Path("model"),
        train_parquet=Path("train.parquet"),
        eval_parquets={"arithmetic": Path("eval.parquet")},
        reward_file=Path("reward.py"),
        summary_file=Path("summary.json"),
    )
    return session_overrides(study=study, profile=load_profile("tiny"), task=task)


def _resolved(arm: Arm) -> Any:
    return copy.deepcopy(_composed(arm))


@functools.cache
def _composed(arm: Arm) -> Any:
    """Once an arm: it takes a second."""
    return compose({**_base(), **trial_overrides(trial=TrialPlan(key="k", arm=arm, seed=0), folder=Path("folder"))})


def _loss_of(
    config: Any,
    z: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    *,
    tokens: int | None = None,
    sequences: int | None = None,
    old: torch.Tensor | None = None,
) -> torch.Tensor:
    """verl's loss function, as its worker calls it with this configuration; sizes are the mini-batch's, if larger."""
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    actor.global_batch_info.update(
        dp_size=1,
        batch_num_tokens=tokens or int(mask.sum()),
        global_batch_size=sequences or len(mask),
        loss_scale_factor=actor.loss_scale_factor,
    )
    loss, _ = get_policy_loss_fn(actor.policy_loss.loss_mode)(
        old_log_prob=torch.zeros_like(z) if old is None else old,
        log_prob=z if old is None else old + z,
        advantages=advantages,
        response_mask=mask,
        loss_agg_mode=actor.loss_agg_mode,
        config=actor,
        rollout_is_weights=None,
    )
    return loss


def _by_hand(arm: Arm, z: list[list[float]], old: list[list[float]], advantages: list[float]) -> float:
    """The papers' objectives in plain numbers, for whole sequences with one advantage each."""
    low, high = arm.clip_bounds or (0.0, 0.0)
    rows = []
    for tokens, old_tokens, a in zip(z, old, advantages, strict=True):
        mean = sum(tokens) / len(tokens)
        ratios = [math.exp(t) for t in tokens]
        clipped = [min(max(r, 1 - low), 1 + high) for r in ratios]
        if arm.loss in ("grpo", "dapo"):
            dual = 10.0 if arm.loss == "dapo" else 3.0
            values = [max(-a * r, -a * c) for r, c in zip(ratios, clipped, strict=True)]
            rows.append([min(value, -a * dual) if a < 0 else value for value in values])
        elif arm.loss == "gspo":
            s = math.exp(mean)
            rows.append([max(-a * s, -a * min(max(s, 1 - low), 1 + high))] * len(tokens))
        elif arm.loss == "gmpo":
            sign = 1.0 if a > 0 else -1.0
            kept = [sign * min(sign * t, sign * min(max(t, -low), high)) for t in tokens]
            rows.append([-a * math.exp(sum(kept) / len(kept))] * len(tokens))
        elif arm.loss == "cispo":
            rows.append([-c * a * (o + t) for c, o, t in zip(clipped, old_tokens, tokens, strict=True)])
        elif arm.loss in ("dppo_tv", "dppo_kl"):
            rows.append([])
            for r, o, t in zip(ratios, old_tokens, tokens, strict=True):
                before, after = math.exp(o), math.exp(o + t)
                # How far the probability of this token has gone in the advantage's direction.
                kl = -before * t + (1 - before) * math.log((1 - before) / (1 - after))
                change = after - before if arm.loss == "dppo_tv" else math.copysign(kl, after - before)
                within = change <= high if a > 0 else change >= -low
                rows[-1].append(-a * r * (o + t) if within else 0.0)
        else:
            tau = 1.0 if a > 0 else 1.05
            rows.append([-a * 4 / tau / (1 + math.exp(-tau * (r - 1))) for r in ratios])
    if NEIGHBOURS[arm.loss].aggregation == "token-mean":
        tokens = [value for row in rows for value in row]
        return sum(tokens) / len(tokens)
    # The longest response of the profile.
    divisors = [80 if arm.loss.startswith("dppo") else len(row) for row in rows]
    return sum(sum(row) / divisor for row, divisor in zip(rows, divisors, strict=True)) / len(rows)


@pytest.mark.parametrize("arm", _ARMS[1:], ids=lambda arm: arm.name)
def test_verl_computes_the_papers_objective_with_the_arms_settings(arm: Arm) -> None:
    random = torch.Generator().manual_seed(1)
    z = 0.4 * torch.randn(6, 5, generator=random, dtype=torch.float64)
    lengths = [5, 3, 1, 5, 2, 4]
    advantages = [1.5, -0.7, -2.0, 0.3, 1.0, -1.0]
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    spread = torch.tensor(advantages, dtype=torch.float64)[:, None].expand(6, 5)
    old = -1.2 - torch.rand(6, 5, generator=random, dtype=torch.float64)
    z.requires_grad_()
    loss = _loss_of(_resolved(arm), z, spread, mask, old=old)
    loss.backward()
    rows, old_rows = (
        [row[:length].tolist() for row, length in zip(values.detach(), lengths, strict=True)] for values in (z, old)
    )
    assert loss.item() == pytest.approx(_by_hand(arm, rows, old_rows, advantages), rel=1e-7)
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert z.grad.abs().sum() > 0


@pytest.mark.parametrize("arm", _ARMS, ids=lambda arm: arm.name)
def test_verls_typed_configuration_is_the_arms(arm: Arm) -> None:
    config = _resolved(arm)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    algorithm = omega_conf_to_dataclass(config.algorithm)
    assert isinstance(algorithm, AlgoConfig)
    assert algorithm.filter_groups.enable == (arm.loss == "dapo")
    assert config.data.gen_batch_size is None
    assert config.trainer.trace_megabytes == 50
    if arm.has_filter:
        assert actor.policy_loss.loss_mode == LOSS_MODE
        assert (actor.clip_ratio_low, actor.clip_ratio_high) == (0.0003, 0.0004)
        return
    assert actor.policy_loss.loss_mode == NEIGHBOURS[arm.loss].loss_mode
    assert actor.loss_agg_mode == NEIGHBOURS[arm.loss].aggregation
    if (bounds := arm.clip_bounds) is not None:
        assert (actor.clip_ratio_low, actor.clip_ratio_high) == bounds
    if arm.loss == "dapo":
        assert actor.clip_ratio_c == 10.0
        assert algorithm.filter_groups.metric == FILTER_GROUPS_REWARD_METRIC


def test_the_arms_advantage_is_one_that_verl_knows() -> None:
    for name in get_args(Advantage):
        assert callable(get_adv_estimator_fn(name))
    config = _resolved(Arm(name="a", loss="grpo", advantage="krpo"))
    assert omega_conf_to_dataclass(config.algorithm).adv_estimator == "krpo"
    assert _resolved(_ISKPO).algorithm.adv_estimator == "grpo"


def test_a_warm_slot_goes_from_loss_to_loss_and_back_and_keeps_nothing_that_counts() -> None:
    """The trainer merges each trial's configuration into the last one's."""
    random = torch.Generator().manual_seed(2)
    z, mask = 0.3 * torch.randn(4, 6, generator=random), torch.ones(4, 6, dtype=torch.bool)
    advantages = torch.randn(4, 1, generator=random).expand(4, 6)
    warm = _resolved(_ARMS[0])
    for arm in [*_ARMS[1:], _ARMS[0], _ARMS[-1], _ARMS[2]]:
        cold = _resolved(arm)
        with open_dict(warm):
            warm.merge_with(cold)
            # verl's data loader does this to a warm configuration with dynamic sampling.
            if warm.algorithm.filter_groups.enable:
                warm.data.gen_batch_size = 1
        assert _loss_of(warm, z, advantages, mask) == _loss_of(cold, z, advantages, mask)
        for part in ("algorithm", "trainer"):
            assert OmegaConf.to_container(warm[part]) == OmegaConf.to_container(cold[part])
        if not arm.dynamic_sampling:
            assert warm.data == cold.data


@pytest.mark.parametrize("arm", _ARMS, ids=lambda arm: arm.name)
def test_the_loss_does_not_depend_on_how_a_mini_batch_is_cut_into_micro_batches(arm: Arm) -> None:
    """verl's own geo_mean does: it averages over a micro-batch."""
    random = torch.Generator().manual_seed(3)
    z, mask = 0.3 * torch.randn(8, 6, generator=random), torch.rand(8, 6, generator=random) < 0.8
    mask[:, 0] = True
    advantages = torch.randn(8, 1, generator=random).expand(8, 6)
    config = _resolved(arm)
    whole = _loss_of(config, z, advantages, mask)
    parts = [
        _loss_of(config, z[rows], advantages[rows], mask[rows], tokens=int(mask.sum()), sequences=8)
        for rows in (slice(0, 1), slice(1, 4), slice(4, 8))
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-5)


def test_gmpo_is_verls_where_a_mini_batch_is_one_micro_batch() -> None:
    random = torch.Generator().manual_seed(4)
    z, mask = 0.5 * torch.randn(8, 6, generator=random), torch.rand(8, 6, generator=random) < 0.8
    mask[:, 0] = True
    advantages = torch.randn(8, 1, generator=random).expand(8, 6)
    config = _resolved(Arm(name="a", loss="gmpo"))
    losses = []
    for mode in ("gmpo", "geo_mean"):
        config.actor_rollout_ref.actor.policy_loss.loss_mode = mode
        log_prob = z.clone().requires_grad_()
        loss = _loss_of(config, log_prob, advantages, mask)
        loss.backward()
        losses.append((loss.detach(), log_prob.grad))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-7)


def test_overlong_shaping_leaves_dynamic_sampling_with_the_unshaped_reward() -> None:
    plain = _resolved(Arm(name="a", loss="dapo", dynamic_sampling=True))
    shaped = _resolved(Arm(name="b", loss="dapo", dynamic_sampling=True, settings={"overlong_buffer": 16}))
    assert (plain.trainer.overlong_buffer, shaped.trainer.overlong_buffer) == (0, 16)
    metrics = [config.algorithm.filter_groups.metric for config in (plain, shaped)]
    assert metrics == [FILTER_GROUPS_REWARD_METRIC, UNSHAPED_REWARD]
