"""Q and V that an earlier study's log ratios ask for, as an arm's own.

.. code-block:: yaml

    space:
      kind: arms
      traces: output/why                                  # an earlier study whose report is written
      arms:
        - {name: fitted, fitted: kpo-strong, kappa: 3}    # as kpo-strong's log ratios there are most likely

The report fits them by maximum likelihood (`filter_model.csv`), over all updates of an arm together. They are numbers
when the study is planned, and compared with what the loss ran with like any others. The table is kept beside the study
file of a run under its bare name, which goes first: the arms stay what they were when the earlier report is written
again.
"""

import csv
import math
from pathlib import Path
from typing import Any

from sweep.input.errors import did_you_mean
from sweep.input.schema_errors import Place

_NAME = "filter_model.csv"
# Without noise the filter is the limit of ever less of it; so much less the report takes, too.
_LEAST_NOISE = 1e-9


def table_file(traces: str, *, folder: Path | None) -> Path:
    """The table of a study's report, of which a copy beside the study file goes first.

    Args:
        traces: The earlier study's output folder, looked for from the study file's folder and then from the current.
        folder: The study file's; None for the current folder.

    Raises:
        ValueError: There is none.
    """
    folders = [folder or Path.cwd(), Path.cwd()]
    places = [folders[0] / _NAME, *(start / traces / "report" / "data" / _NAME for start in folders)]
    for place in places:
        if place.is_file():
            return place.resolve()
    raise ValueError(f"{traces} has no report with {_NAME}: run iskpo-sweep report {traces}, whose study kept traces")


def fitted_entries(entries: Any, *, traces: Any, folder: Path | None) -> tuple[list[Any], list[tuple[Place, str]]]:
    """The entries of a list of arms with q and v where they have ``fitted``, and what is wrong, each with its place.

    Args:
        entries: As they stand in the study file; what is no mapping is left to other checks.
        traces: The value of the key beside the list.
        folder: The study file's folder.
    """
    entries = list(entries) if isinstance(entries, list | tuple) else []
    asking = [index for index, entry in enumerate(entries) if isinstance(entry, dict) and entry.get("fitted")]
    if not asking:
        return entries, [(("traces",), "no arm says fitted: leave this key out")] if traces is not None else []
    if not isinstance(traces, str):
        return entries, [(("arms", asking[0], "fitted"), "traces is missing beside the list of arms: a study's folder")]
    try:
        rows = _rows(table_file(traces, folder=folder))
    except ValueError as error:
        return entries, [(("traces",), str(error))]
    found: list[tuple[Place, str]] = []
    for index in asking:
        given = [key for key in ("q", "v") if key in entries[index]]
        try:
            if given:
                raise ValueError(f"it says q and v: leave {' and '.join(given)} out")
            entries[index] = {**entries[index], **_numbers(rows, entries[index]["fitted"])}
        except ValueError as error:
            found.append((("arms", index, "fitted"), str(error)))
    return entries, found


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _numbers(rows: list[dict[str, str]], arm: Any) -> dict[str, float]:
    """Q and V of one arm, of all its updates together.

    Raises:
        ValueError: The table does not have the arm, or no fit of it.
    """
    own, known = [row for row in rows if row["arm"] == arm], dict.fromkeys(row["arm"] for row in rows)
    if not own:
        raise ValueError(f"the earlier study's table has no arm {arm!r}{did_you_mean(arm, known)}")
    # An arm with one update has no row for all.
    (row,) = [row for row in own if not row["update"]] or own[:1]
    q, v = (float(row[name] or "nan") for name in ("q", "v"))
    if math.isnan(q) or math.isnan(v):
        raise ValueError(f"log ratios of {arm} have not moved: there are no q and v under which they are most likely")
    return {"q": q, "v": max(v, _LEAST_NOISE * q)}
