"""Numbers that somebody reported, recomputed from the other numbers reported; one file a kind of claim.

Imports `reports.data`, `sweep.input` and closed forms: nothing is trained and no raw data is needed.
"""

from reports.audit.checks import audit, load_reported
from reports.audit.printed import Row, Verdict
from reports.audit.reported import Reported

__all__ = ["Reported", "Row", "Verdict", "audit", "load_reported"]
