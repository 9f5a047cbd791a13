"""The page that holds a study against the paper: a sentence, and a table for each of the paper's."""

import math
from typing import Any

import pandas as pd

from reports.analysis.arms import row_of
from reports.data.load import StudyRecord
from reports.data.numbers import MISSING, NOTHING, count, listing, number, points
from reports.replication.cells import Verdict
from reports.replication.repeats import left_open
from sweep.arms.paper import PAPER_ARMS

# After the printed number: whether it fits; and that the paper's own numbers exclude it.
_MARKS = {Verdict.COMPATIBLE: "≈", Verdict.DIFFERS: "≠", Verdict.OPEN: "?"}
_DOUBTFUL = "†"
_MOST_NAMED = 5
_ORDER = ("Table", "Figure", "Text")


def replication_content(*, study: StudyRecord, cells: pd.DataFrame, arms: pd.DataFrame) -> dict[str, Any]:
    """Texts and cells of the page; empty where the study does not repeat the paper.

    Args:
        study: From `reports.data.load`.
        cells: From `reports.replication.replication_cells`.
        arms: From `reports.analysis.arms.arm_table`.
    """
    if cells.empty:
        return {"replication": []}
    in_order = sorted(cells["table"].unique(), key=lambda name: (_ORDER.index(name.split()[0]), name))
    tables = [_table(name, cells[cells["table"] == name], arms) for name in in_order]
    return {
        "replication": tables,
        "replication_sentence": _sentence(cells, arms),
        "replication_setting": f"Left open by the paper, and set here: {left_open(study=study)}.{_absent(cells)}",
        "replication_doubtful": bool(cells["doubtful"].any()),
        "replication_one_run": bool((cells["runs"] == 1).any()),
    }


def _sentence(cells: pd.DataFrame, arms: pd.DataFrame) -> str:
    by_verdict = {verdict: cells[cells["verdict"] == verdict] for verdict in Verdict}
    differ, judged = by_verdict[Verdict.DIFFERS], len(cells) - len(by_verdict[Verdict.OPEN])
    if not judged:
        return "No number of the paper can be held against this study yet: it takes two finished seeds of an arm."
    text = (
        f"Of {count(judged, 'number')} that the paper prints and this study measured, "
        f"{len(by_verdict[Verdict.COMPATIBLE])} are compatible with one more run of it and {len(differ)} differ"
    )
    named = [
        " ".join(
            filter(None, [f"step {row['row']}" if row["row"].isdigit() else row["row"], row["measure"].split(",")[0]])
        )
        + f" of {row_of(arms=arms, name=row['arm'])['label']}"
        for _, row in differ.head(_MOST_NAMED).iterrows()
    ]
    more = [f"{len(differ) - len(named)} more"] if len(differ) > len(named) else []
    text += f": {listing([*named, *more])}" if named else ""
    open_cells = len(cells) - judged
    return f"{text}. By chance alone about one number in twenty would differ." + (
        f" {count(open_cells, 'number')} stay open." if open_cells else ""
    )


def _absent(cells: pd.DataFrame) -> str:
    there = set(cells["title"])
    absent = [arm.title for arm in PAPER_ARMS if arm.title not in there]
    return f" Not in this study: {listing(absent)}." if absent else ""


def _table(name: str, cells: pd.DataFrame, arms: pd.DataFrame) -> dict[str, Any]:
    """Head and rows: two columns a measure, this study's and the paper's; in figures and text a row a measure."""
    if not name.startswith("Table"):
        cells = cells.assign(row=cells["measure"], measure="")
    measures = list(dict.fromkeys(cells["measure"]))
    rows: dict[tuple[str, str], dict[str, list[str]]] = {}
    for _, cell in cells.iterrows():
        own = rows.setdefault((cell["arm"], cell["row"]), {})
        own[cell["measure"]] = [_ours(cell), _printed(cell)]
    named = any(row for _, row in rows)
    return {
        "name": "Text, sections 4.2 and 4.3" if name == "Text" else name,
        "named": named,
        "measures": measures,
        "rows": [
            [
                row_of(arms=arms, name=arm)["label"],
                *([row] if named else []),
                *(text for measure in measures for text in own.get(measure, [NOTHING, NOTHING])),
            ]
            for (arm, row), own in rows.items()
        ],
    }


def _ours(cell: "pd.Series[Any]") -> str:
    if math.isnan(cell["value"]):
        return MISSING
    shares = "%" in cell["printed"] or cell["printed"].endswith("pp")

    def text(value: float) -> str:
        if "@" in cell["measure"] or cell["printed"].endswith("pp"):
            return points(value)
        return number(100 * value if shares else value, digits=2 if abs(value) < 1e-3 else 3)

    ends = "" if math.isnan(cell["low"]) else f" [{text(cell['low'])}, {text(cell['high'])}]"
    return text(cell["value"]) + ends


def _printed(cell: "pd.Series[Any]") -> str:
    marks = _MARKS[Verdict(cell["verdict"])] + (_DOUBTFUL if cell["doubtful"] else "")
    return f"{cell['printed']} {marks}"
