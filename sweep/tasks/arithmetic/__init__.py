"""The embedded task: a small Qwen3, taught on this machine to multiply digit by digit, with head-room left for RL.

Imports `sweep.input`. No weights can be assumed to download, so the policy is made here; `prepare` says what comes out.
"""

from sweep.tasks.arithmetic.prepare import PreparedTask, prepare
from sweep.tasks.arithmetic.recipe import Recipe

__all__ = ["PreparedTask", "Recipe", "prepare"]
