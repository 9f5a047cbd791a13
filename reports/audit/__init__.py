"""Audit: takes numbers that somebody reported and recomputes what can be recomputed from the other numbers reported.

Nothing is trained and no raw data is needed. One file holds one kind of check (`gains`, `thresholds`, `z_tests`, ...);
`reported` holds the schema of the input file, `row` what every check returns, `checks` puts them in order.
"""

from reports.audit.checks import audit
from reports.audit.load import load_reported
from reports.audit.reported import Reported
from reports.audit.row import Row, Verdict

__all__ = ["Reported", "Row", "Verdict", "audit", "load_reported"]
