"""verl's configuration with our settings in it. Imports neither verl nor torch."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf


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
