"""A study that repeats the IS-KPO paper, held against what the paper prints, cell by cell.

Imports `reports.analysis`, `reports.audit` and what is below them.
"""

from reports.replication.cells import Verdict, replication_cells
from reports.replication.page import replication_content

__all__ = ["Verdict", "replication_cells", "replication_content"]
