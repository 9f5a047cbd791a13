"""Runs a planned study: Ray Tune schedules, a slot keeps verl and vLLM alive, events come back as lines of JSON.

Imports `sweep.store` and what is below it, and `iskpo.verl`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.engine.study_run import StudyResult, run_study

__all__ = ["StudyResult", "run_study"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from sweep.engine import study_run

        return getattr(study_run, name)
    raise AttributeError(name)
