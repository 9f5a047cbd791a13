"""Where a study's arms come from; one file per kind of space, small enough to copy."""

from sweep.search_spaces.arms import ArmList
from sweep.search_spaces.base import ArmDefaults, Registry, SearchSpace, register
from sweep.search_spaces.grid import Grid

__all__ = ["ArmDefaults", "ArmList", "Grid", "Registry", "SearchSpace", "register"]
