"""What a search space in a user's own file imports: files written before `sweep.arms` keep working."""

from sweep.arms.arm import Arm

__all__ = ["Arm"]
