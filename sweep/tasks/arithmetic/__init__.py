"""The embedded task: a small Qwen3, taught on this machine to multiply digit by digit, with head-room left for RL.

No weights can be assumed to download, so the policy is made here; see ``prepare`` for what comes out.
"""

from sweep.tasks.arithmetic.prepare import PreparedTask, prepare
from sweep.tasks.arithmetic.recipe import Recipe

__all__ = ["PreparedTask", "Recipe", "prepare"]
