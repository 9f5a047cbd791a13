"""Where a study's arms come from; one file a kind of space, small enough to copy.

Imports `sweep.arms` and `sweep.input`.
"""

from sweep.arms.arm import Arm
from sweep.search_spaces.arm_list import ArmList
from sweep.search_spaces.base import AdaptiveSpace, ArmDefaults, Registry, SearchSpace, register
from sweep.search_spaces.decoupled import Decoupled
from sweep.search_spaces.grid import Grid
from sweep.search_spaces.optuna import OptunaSpace

__all__ = [
    "AdaptiveSpace",
    "Arm",
    "ArmDefaults",
    "ArmList",
    "Decoupled",
    "Grid",
    "OptunaSpace",
    "Registry",
    "SearchSpace",
    "register",
]
