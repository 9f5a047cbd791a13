"""From a study, its profile and its prepared task to verl's settings.

What all trials of a study share goes to the slot; what one trial adds goes with its request.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iskpo.settings import KPO_BOUNDS, FilterSettings
from iskpo.verl.names import (
    ECHO_KEY,
    ECHOES,
    OUTSIDE_SHARE,
    OVERLONG_BUFFER,
    RATIO_HIGH,
    RATIO_LOW,
    ROLLOUT_BYPASS,
    ROLLOUT_WEIGHTS,
    TEMPERATURE,
)
from sweep.arms.arm import Arm
from sweep.profiles.batch_sizes import micro_batches
from sweep.profiles.profile import Profile
from sweep.study.plan import TrialPlan
from sweep.study.study import Study
from sweep.tasks import PreparedTask

_POLICY_LOSS = "actor_rollout_ref.actor.policy_loss"


def session_overrides(*, study: Study, profile: Profile, task: PreparedTask) -> dict[str, Any]:
    """verl settings shared by every trial of a study: profile, then task, then the study's own overrides.

    Raises:
        UserError: The batch sizes do not divide among a trial's GPUs.
    """
    from iskpo.verl.names import LOSS_MODE, TARGET

    return {
        # Said even where it is verl's own, so that the next arm of a warm slot goes back to it.
        TEMPERATURE: 1.0,
        f"+{OVERLONG_BUFFER}": 0,
        f"+{OUTSIDE_SHARE}": 0.0,
        ROLLOUT_WEIGHTS: None,
        ROLLOUT_BYPASS: False,
        **profile.verl,
        "actor_rollout_ref.model.path": str(task.model_dir),
        "data.train_files": [str(task.train_parquet)],
        "data.val_files": [str(path) for path in task.eval_parquets.values()],
        "reward.custom_reward_function.path": str(task.reward_file),
        **dict(zip((RATIO_LOW, RATIO_HIGH), KPO_BOUNDS, strict=True)),
        "actor_rollout_ref.actor.loss_agg_mode": "seq-mean-token-mean",
        f"{_POLICY_LOSS}._target_": TARGET,
        f"{_POLICY_LOSS}.loss_mode": LOSS_MODE,
        "actor_rollout_ref.rollout.val_kwargs.n": study.eval.samples,
        "actor_rollout_ref.rollout.val_kwargs.do_sample": True,
        "actor_rollout_ref.rollout.val_kwargs.temperature": 1.0,
        "actor_rollout_ref.rollout.val_kwargs.top_p": 1.0,
        "actor_rollout_ref.rollout.calculate_log_probs": True,
        "trainer.total_training_steps": study.steps,
        "trainer.total_epochs": study.steps,
        "trainer.test_freq": study.eval.every or study.steps,
        "trainer.val_before_train": False,
        "trainer.save_freq": -1,
        "trainer.resume_mode": "disable",
        "trainer.logger": [],
        "trainer.project_name": study.name,
        "+trainer.trace_megabytes": study.traces.megabytes,
        **_matching(study),
        **micro_batches(profile=profile.verl, overrides=study.overrides, gpus=profile.ray.slot_gpus),
        **study.overrides,
    }


@dataclass(frozen=True)
class BatchSizes:
    """What the sizes of an arm's micro-batches follow from, beside its own settings; see `micro_batches`."""

    profile: Mapping[str, Any]
    overrides: Mapping[str, Any]
    gpus: int

    def of(self, arm: Arm) -> dict[str, int]:
        """The verl settings; none for an arm without settings, since the session has them.

        Raises:
            UserError: The arm's batch sizes do not divide among a trial's GPUs.
        """
        if not arm.settings:
            return {}
        overrides = {**self.overrides, **arm.verl_settings()}
        return micro_batches(profile=self.profile, overrides=overrides, gpus=self.gpus)


def _matching(study: Study) -> dict[str, Any]:
    """Left out where it is the default: the reward functions of other tasks have no such argument."""
    if study.eval.matching == "equivalent":
        return {}
    return {"+reward.custom_reward_function.reward_kwargs.matching": study.eval.matching}


def trial_overrides(*, trial: TrialPlan, folder: Path, sizes: BatchSizes | None = None) -> dict[str, Any]:
    """verl settings of one trial: its arm's loss, filter and settings, its seed and its folder.

    Args:
        trial: The trial.
        folder: The folder of its attempt.
        sizes: For arms with settings.
    """
    own = trial.arm.verl_settings()
    return {
        # Without a filter the typed configuration of the loss stays IS-KPO's, which is verl's with more fields, since a
        # slot that is warm goes from one loss to another without forgetting keys of its configuration.
        **(_filter_settings(trial.arm.filter) if trial.arm.filter else {}),
        **trial.arm.loss_settings(),
        **(sizes.of(trial.arm) if sizes else {}),
        **own,
        f"+trainer.{ECHO_KEY}": [key.lstrip("+") for key in own if key not in ECHOES],
        "data.seed": trial.seed,
        "trainer.val_before_train": trial.untrained,
        "actor_rollout_ref.actor.data_loader_seed": trial.seed,
        "trainer.experiment_name": trial.key,
        "trainer.validation_data_dir": str(folder / "evaluations"),
        "+trainer.trace_folder": str(folder / "traces"),
    }


def _filter_settings(settings: FilterSettings) -> dict[str, Any]:
    return {f"+{_POLICY_LOSS}.{name}": value for name, value in asdict(settings).items()}
