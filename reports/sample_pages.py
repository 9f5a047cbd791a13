"""Pages of raw samples beside the HTML report, one an arm: what was asked, what was answered, and how it was graded."""

import html
import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from reports.data.numbers import count
from sweep.store.recorded_study import load
from sweep.store.trial_tables import UNTRAINED_SAMPLES

FOLDER = "samples"
_COLUMNS = ("seed", "benchmark", "problem_id", "prompt", "truth", "sample", "correct", "answer", "response")
# A page of more is no longer read, and browsers take seconds to show it; the rest is in the tables it was read from.
_MOST_ROWS, _MOST_LETTERS = 2000, 3_000_000


def write_sample_pages(*, output: Path, arms: pd.DataFrame, folder: Path, head: str) -> dict[str, str]:
    """Write a page of samples after the last step for every arm that has some, seeds below each other.

    Args:
        output: The study's folder.
        arms: From `reports.analysis.arms.arm_table`.
        folder: The report's folder.
        head: Style and script for the page's ``head``.

    Returns:
        Arm to the page's address relative to ``folder``.
    """
    study = load(output)
    (folder / FOLDER).mkdir(exist_ok=True)
    pages = {}
    for _, arm in arms.iterrows():
        paths: dict[int, Path] = {}
        for run in study.runs.values():
            if run.params.get("arm") == arm["arm"] and run.state == "finished":
                kept = [path for path in study.files(run, "samples") if path.stem != UNTRAINED_SAMPLES]
                paths |= {int(run.params["seed"]): path for path in kept[-1:]}
        if paths:
            name = f"{FOLDER}/arm_{arm['number']}.html"
            (folder / name).write_text(_page(str(arm["label"]), paths, head, output), encoding="utf-8")
            pages[str(arm["arm"])] = name
    return pages


def _page(label: str, paths: dict[int, Path], head: str, output: Path) -> str:
    share = max(1, _MOST_ROWS // len(paths))
    parts, rows = [], 0
    for seed, path in sorted(paths.items()):
        with pq.ParquetFile(path) as file:
            there = [name for name in _COLUMNS if name in file.schema_arrow.names]
            rows += file.metadata.num_rows
            first = next(file.iter_batches(batch_size=share, columns=there)).to_pandas()
        letters = first["response"].str.len().cumsum() if "response" in first else pd.Series(0, index=first.index)
        parts.append(first[(letters <= _MOST_LETTERS / len(paths)) | (first.index == 0)].assign(seed=seed))
    table = pd.concat(parts)
    table = table[[name for name in _COLUMNS if name in table]]
    left_out = "" if len(table) == rows else f"; the first {len(table)} are shown"
    where = ", ".join(html.escape(os.path.relpath(path, output)) for path in paths.values())
    lines = [_row("th", [name.replace("_id", "") for name in table.columns])]
    lines += [_row("td", [_cell(name, value) for name, value in row.items()]) for row in table.to_dict("records")]
    title = html.escape(f"Samples of {label}")
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>{head}</head>'
        f'<body class="samples"><p><a href="../report.html">The report</a></p><h1>{title}</h1>'
        f"<p>{count(rows, 'sample')} after the last step{left_out}. Read from {where}.</p>"
        f"<figure><table><thead>{lines[0]}</thead><tbody>{''.join(lines[1:])}</tbody></table></figure></body></html>"
    )


def _cell(name: str, value: object) -> str:
    if name == "correct":
        return "right" if value else "wrong"
    return "" if value is None else str(value)


def _row(kind: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in cells) + "</tr>"
