"""Which of verl's settings a study's `overrides` may not touch, and what to set instead."""

# They follow from other keys of the study, or iskpo-sweep needs as they are, with the way to
# change what they stand for. A trailing dot means everything below.
RESERVED_OVERRIDES = {
    "actor_rollout_ref.actor.policy_loss.": "set loss, q, v, kappa, p0, rho0, gradient and so on in the study",
    "actor_rollout_ref.actor.data_loader_seed": "set seeds in the study",
    "actor_rollout_ref.model.path": "the profile's task prepares the model",
    "actor_rollout_ref.rollout.val_kwargs.n": "set eval.samples in the study",
    "data.seed": "set seeds in the study",
    "data.train_files": "the profile's task prepares the data",
    "data.val_files": "the profile's task prepares the data",
    "reward.custom_reward_function.": "the profile's task brings its reward",
    "trainer.default_local_dir": "trials keep their files under the study's output folder",
    "trainer.device": "choose another profile",
    "trainer.experiment_name": "trials are named by arm and seed",
    "trainer.logger": "iskpo-sweep records to MLflow itself",
    "trainer.n_gpus_per_node": "set ray.gpus_per_trial in the study",
    "trainer.nnodes": "set ray.gpus_per_trial in the study, whose GPUs are of one node",
    "trainer.project_name": "set name in the study",
    "trainer.resume_mode": "iskpo-sweep decides what is resumed",
    "trainer.save_freq": "iskpo-sweep decides what is saved",
    "trainer.test_freq": "set eval.every in the study",
    "trainer.trace_folder": "trials keep their files under the study's output folder",
    "trainer.trace_megabytes": "set traces.megabytes in the study",
    "trainer.total_epochs": "set steps in the study",
    "trainer.total_training_steps": "set steps in the study",
    "trainer.val_before_train": "set eval.every in the study",
    "trainer.validation_data_dir": "trials keep their files under the study's output folder",
}


def not_reserved(key: str) -> str:
    """The key, if it is one that a study may set.

    Raises:
        ValueError: It is reserved, or no dotted key.
    """
    plain = key.lstrip("+")
    for reserved, instead in RESERVED_OVERRIDES.items():
        name = reserved.rstrip(".")
        if plain == name or plain.startswith(name + ".") or name.startswith(plain + "."):
            raise ValueError(f"iskpo-sweep sets {name} itself: {instead}")
    if not all(part.isidentifier() for part in plain.split(".")):
        raise ValueError("is not a dotted verl key, such as actor_rollout_ref.actor.optim.lr")
    return key
