"""Reports: what MLflow recorded, turned into tables, figures and a PDF. Nothing here runs a trial.

Imports `sweep` and `iskpo`, and at first use only: `import reports` alone loads neither MLflow nor matplotlib.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.document import write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> Any:
    if name == "write_report":
        from reports.document import write_report

        return write_report
    raise AttributeError(f"module 'reports' has no attribute {name!r}")
