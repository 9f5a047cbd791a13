"""Takes the metrics of an unfinished attempt out of a study's own store, so that the next attempt's stand alone.

MLflow has no call for it, and two attempts' points at one step would be drawn and averaged as one.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

# As long as MLflow itself waits for another process that writes.
_PATIENCE_SECONDS = 60.0


def erase_metrics(*, database: Path, run_id: str) -> int:
    """Delete every metric of a run; parameters, tags and artifacts stay.

    Args:
        database: The study's ``mlflow.db``.
        run_id: The run.

    Returns:
        How many points were deleted.
    """
    with closing(sqlite3.connect(database, timeout=_PATIENCE_SECONDS)) as connection, connection:
        deleted = connection.execute("DELETE FROM metrics WHERE run_uuid = ?", (run_id,)).rowcount
        connection.execute("DELETE FROM latest_metrics WHERE run_uuid = ?", (run_id,))
    return deleted
