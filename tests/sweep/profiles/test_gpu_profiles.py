"""The command that each GPU profile comes down to, held against verl's own configuration classes."""

import math
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from verl.utils.config import omega_conf_to_dataclass, validate_config
from verl.workers.config import FSDPActorConfig, RolloutConfig

from iskpo.verl.composition import compose
from sweep.engine.settings import session_overrides, trial_overrides
from sweep.profiles.profile import available_profiles, load_profile
from sweep.study.plan import plan_trials
from sweep.study.study import Study
from sweep.tasks import PreparedTask
from sweep.tasks.pretrained.packages import PACKAGED

GPU = [name for name in available_profiles() if load_profile(name).device == "cuda"]


def resolved(name: str, tmp_path: Path):
    study = Study.model_validate(
        {
            "name": "table",
            "space": {"kind": "arms", "arms": [{"name": "kpo-strong", "q": 1e-6, "v": 1, "kappa": math.inf}]},
            "steps": 16,
            "eval": {"samples": 16, "every": None},
        }
    )
    task = PreparedTask(
        model_dir=tmp_path,
        train_parquet=tmp_path / "train.parquet",
        eval_parquets={"math-500": tmp_path / "a.parquet", "aime-2024": tmp_path / "b.parquet"},
        reward_file=tmp_path / "reward.py",
        summary_file=tmp_path / "summary.json",
    )
    shared = session_overrides(study=study, profile=load_profile(name), task=task)
    config = compose({**shared, **trial_overrides(trial=plan_trials(study)[0], folder=tmp_path)})
    OmegaConf.resolve(config)
    return config


@pytest.mark.parametrize("name", GPU)
def test_verl_takes_every_gpu_profile(name, tmp_path):
    config = resolved(name, tmp_path)
    validate_config(config=config, use_reference_policy=False, use_critic=False)
    # Without the model's own part, whose class reads the model's files.
    OmegaConf.update(config, "actor_rollout_ref.actor.model_config", {}, force_add=True)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    assert isinstance(actor, FSDPActorConfig)
    assert isinstance(rollout, RolloutConfig)
    assert (actor.policy_loss.q, actor.policy_loss.v) == (1e-6, 1.0)
    assert config.data.max_prompt_length + config.data.max_response_length <= rollout.max_model_len
    profile = load_profile(name)
    assert config.trainer.n_gpus_per_node * config.trainer.nnodes == profile.ray.slot_gpus
    if profile.task == "arithmetic":
        assert profile.recipe.device == "cuda"
    else:
        assert profile.model.startswith("Qwen/") or profile.model in PACKAGED


@pytest.mark.parametrize("name", ["small-gpu", "smollm2-135m-gpu-float32"])
def test_a_small_model_is_float32_wherever_a_log_ratio_comes_from(name, tmp_path):
    config = resolved(name, tmp_path)
    rollout, training = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor.fsdp_config
    assert rollout.dtype == training.dtype == "float32"
    assert training.model_dtype == "fp32"
    assert set(training.mixed_precision.values()) == {"fp32"}


def test_the_public_pretrained_model_has_its_weights_in_float32_and_computes_in_bfloat16(tmp_path):
    config = resolved("smollm2-135m-gpu", tmp_path)
    rollout, training = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor.fsdp_config
    assert rollout.dtype == training.dtype == "bfloat16"
    assert training.model_dtype == "fp32"
    assert dict(training.mixed_precision) == {"param_dtype": "bf16", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}


def test_the_papers_profile_has_the_papers_values(tmp_path):
    config = resolved("qwen3-4b", tmp_path)
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    assert load_profile("qwen3-4b").model == "Qwen/Qwen3-4B-Base"
    assert (config.data.train_batch_size, actor.ppo_mini_batch_size, rollout.n) == (32, 8, 8)
    assert (config.data.max_prompt_length, config.data.max_response_length) == (1024, 4096)
    assert (actor.optim.lr, actor.optim.lr_warmup_steps_ratio, actor.optim.weight_decay) == (1e-6, 0.05, 0.1)
    assert (actor.clip_ratio_low, actor.clip_ratio_high, actor.grad_clip) == (0.0003, 0.0004, 1.0)
    assert (actor.use_kl_loss, actor.entropy_coeff, rollout.temperature) == (False, 0, 1.0)
    assert (rollout.val_kwargs.n, config.trainer.total_training_steps) == (16, 16)
    assert actor.loss_agg_mode == "seq-mean-token-mean"
