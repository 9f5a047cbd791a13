"""verl's configuration, composed from its own defaults and our values; imports neither verl nor torch."""

import copy
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf


@lru_cache(maxsize=1)
def _defaults() -> DictConfig:
    """What verl runs with where nobody says otherwise."""
    verl = find_spec("verl")
    if verl is None or verl.origin is None:
        raise ModuleNotFoundError("verl is not installed")
    # By folder: by module Hydra would import verl, and with it torch and Ray.
    with initialize_config_dir(config_dir=str(Path(verl.origin).parent / "trainer" / "config"), version_base=None):
        config = hydra_compose(config_name="ppo_trainer")
    OmegaConf.set_struct(config, False)
    return config


def compose(overrides: Mapping[str, Any]) -> DictConfig:
    """verl's configuration with values replaced.

    Args:
        overrides: Dotted key to value. A key must exist in verl's configuration, unless it begins with "+".

    Raises:
        KeyError: A key that verl's configuration does not have.
    """
    config = copy.deepcopy(_defaults())
    for key, value in overrides.items():
        name = key.removeprefix("+")
        parent, _, leaf = name.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        if not key.startswith("+") and (not isinstance(node, DictConfig) or leaf not in node.keys()):  # noqa: SIM118
            raise KeyError(f"verl has no setting {name!r}; write '+{name}' to add one")
        OmegaConf.update(config, name, value, force_add=True)
    if graded_by_agent_loops(config.reward):
        # A process that nobody would ask, with ten seconds of imports.
        config.reward.num_workers = 0
    return config


def graded_by_agent_loops(reward: DictConfig) -> bool:
    """Whether an answer is graded where it arrives, and not in verl's reward processes or by a reward model.

    Args:
        reward: verl's ``reward``.
    """
    return bool(reward.reward_manager.name == "naive" and not reward.reward_model.enable)


@lru_cache(maxsize=1)
def default_settings() -> dict[str, Any]:
    """Dotted key to verl's default, of every setting that is no mapping; None where the default follows from others."""
    found: dict[str, Any] = {}

    def walk(node: dict[str, Any], prefix: str) -> None:
        for name, value in node.items():
            if isinstance(value, dict) and value:
                walk(value, f"{prefix}{name}.")
            else:
                follows = isinstance(value, str) and ("${" in value or value == "???")
                found[f"{prefix}{name}"] = None if follows else value

    walk(cast(dict[str, Any], OmegaConf.to_container(_defaults(), resolve=False)), "")
    return found
