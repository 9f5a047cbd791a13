"""A verl training session: configuration, start-up, and one trial after another on the same processes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from iskpo.verl.rollout import SeededAgentLoopManager
from iskpo.verl.trainer import Listener, TrialTrainer


def compose(overrides: Mapping[str, Any]) -> DictConfig:
    """verl's configuration with values replaced.

    Args:
        overrides: Dotted key to value. A key must exist in verl's configuration, unless it begins with "+".

    Raises:
        KeyError: A key that verl's configuration does not have.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module

    with initialize_config_module(config_module="verl.trainer.config", version_base=None):
        config = hydra_compose(config_name="ppo_trainer")
    OmegaConf.set_struct(config, False)
    for key, value in overrides.items():
        name = key.removeprefix("+")
        parent, _, leaf = name.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        if not key.startswith("+") and (node is None or leaf not in set(node)):
            raise KeyError(f"verl has no setting {name!r}; write '+{name}' to add one")
        OmegaConf.update(config, name, value, force_add=True)
    return config


class Session:
    """verl and vLLM, kept alive between trials. Must run in a process that is a Ray job of its own."""

    def __init__(self, *, overrides: Mapping[str, Any]) -> None:
        """Compose and check the configuration; nothing is started yet.

        Args:
            overrides: verl settings shared by all trials of the session.
        """
        from verl.trainer.ppo.utils import need_critic, need_reference_policy
        from verl.utils.config import validate_config

        self._base = dict(overrides)
        self.config = compose(self._base)
        validate_config(
            config=self.config,
            use_reference_policy=need_reference_policy(self.config),
            use_critic=need_critic(self.config),
        )

    def start(self) -> None:
        """Start TransferQueue, the policy's workers, vLLM and the agent loops (about a minute on a laptop)."""
        import transfer_queue

        with open_dict(self.config):
            self.config.transfer_queue.enable = True
        OmegaConf.resolve(self.config)
        transfer_queue.init(self.config.transfer_queue)
        self._trainer = TrialTrainer(config=self.config)
        self._trainer.init()
        self._agent_loops = SeededAgentLoopManager.create(
            config=self.config,
            llm_client=self._trainer.get_llm_client(),
            teacher_client=self._trainer.get_teacher_client(),
            reward_loop_worker_handles=self._trainer.get_reward_handles(),
        )

    def run_trial(self, *, overrides: Mapping[str, Any], seed: int, listener: Listener, folder: Path) -> None:
        """Run one trial to its end.

        Args:
            overrides: The trial's verl settings on top of the session's.
            seed: Seed of weights' dropout, data order and sampling.
            listener: What the trial reports to.
            folder: Where the resolved configuration is written, as ``resolved.yaml``.
        """
        config = compose({**self._base, **overrides})
        with open_dict(config):
            config.transfer_queue.enable = True
        OmegaConf.resolve(config)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolved.yaml").write_text(OmegaConf.to_yaml(config))
        self._trainer.begin_trial(config=config, agent_loops=self._agent_loops, seed=seed, listener=listener)
        self._trainer.fit(self._agent_loops)

    def close(self) -> None:
        """Shut TransferQueue down; the workers end with the Ray job."""
        import transfer_queue

        transfer_queue.close()
