"""Tasks: what the policy is trained on and how a response is scored, in the files that verl reads.

Imports `sweep.input`.
"""

from sweep.tasks.arithmetic.prepare import PreparedTask
from sweep.tasks.registry import cache_folder, prepare_task, usable_cache

__all__ = ["PreparedTask", "cache_folder", "prepare_task", "usable_cache"]
