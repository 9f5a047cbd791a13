"""Runs studies: a YAML file becomes arms, arms and seeds become trials, trials become MLflow runs.

Imports `iskpo`; `sweep.commands` alone reaches `reports`. `sweep.load(OUTPUT)` gives the tables of a study
that has run.
"""

from typing import TYPE_CHECKING, Any

from sweep.input.environment import prepare_environment

if TYPE_CHECKING:
    from sweep.store.recorded_study import RecordedStudy, load

prepare_environment()

__all__ = ["RecordedStudy", "load"]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use: the command line must not wait for pandas."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sweep.store import recorded_study as recorded

    return getattr(recorded, name)
