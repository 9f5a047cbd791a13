"""``iskpo-sweep grade``: verdicts on answers, with the rule that decided and what was read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.commands.arguments import sign_of_life
from sweep.input.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from sweep.tasks.maths.regrade import Verdict

_MATCHINGS = ("equivalent", "strict", "exact")
_ALL_SHOWN = 40
"""A file with no more rows is shown whole."""


def grade(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Rows with truth and answer, or with truth and response (.jsonl, .json, .csv, .parquet), "
            "verl's samples, or the folder of a study.",
        ),
    ],
    matching: Annotated[
        str,
        typer.Option(
            metavar="|".join(_MATCHINGS), help="When an answer is right.", autocompletion=lambda: list(_MATCHINGS)
        ),
    ] = "equivalent",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a row.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the rows with both verdicts there: .csv, .jsonl or .parquet."),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=0, help="Most rows shown of a long file.")] = 20,
) -> None:
    """Grade answers to mathematics problems: each verdict, the rule that decided, and what was read on both sides.

    A recorded verdict is kept beside the new one. The rules are in the documentation under "Grading".
    """
    import json
    from dataclasses import asdict

    if matching not in _MATCHINGS:
        raise UserError(f"unknown matching {matching!r}{did_you_mean(matching, list(_MATCHINGS))}")
    if output is not None and output.suffix not in (".csv", ".jsonl", ".parquet"):
        raise UserError(f"{output}: --output ends in .csv, .jsonl or .parquet")
    if output is not None and output.exists():
        raise UserError(f"{output} exists; name another file")

    sign_of_life(f"grading {file}")

    from sweep.tasks.maths.regrade import graded, sample_files

    verdicts, rows = [], []
    for path in sample_files(file):
        for row, verdict in graded(path, matching=matching):  # type: ignore[arg-type]
            if as_json:
                typer.echo(json.dumps({"file": str(path), **asdict(verdict)}, ensure_ascii=True))
            verdicts.append(verdict)
            if output is not None:
                rows.append(
                    {**row, "verdict": verdict.verdict, "rule": verdict.rule, "before": verdict.before}
                    | {"answer_read": verdict.answer_read, "truth_read": verdict.truth_read}
                )
    if not verdicts:
        raise UserError(f"{file}: no rows")
    if output is not None:
        _write(rows, output)
    if not as_json:
        _show(verdicts, most=most)


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    import pandas as pd

    table = pd.DataFrame(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_json(path, orient="records", lines=True)
    typer.echo(f"written to {path}", err=True)


def _show(verdicts: "list[Verdict]", *, most: int) -> None:
    """The rows, or of a long file those that changed or were not read, and the counts."""
    from collections import Counter

    short = len(verdicts) <= _ALL_SHOWN
    picked = verdicts if short else [one for one in verdicts if one.changed or one.verdict not in ("right", "wrong")]
    shown = picked if short else picked[:most]
    for one in shown:
        changed = f" (was {'right' if one.before else 'wrong'})" if one.changed else ""
        typer.echo(f"row {one.row}: {one.verdict}{changed}, by {one.rule}")
        for name, written, understood in (
            ("truth ", one.truth, one.truth_read),
            ("answer", one.answer, one.answer_read),
        ):
            reading = f"   read as {understood}" if understood and understood != written else ""
            typer.echo(f"    {name}  {' '.join(written.split())[:100]}{reading[:120]}")
    if len(picked) > len(shown):
        typer.echo(f"... and {len(picked) - len(shown)} more that changed or were not read (--most, --json, --output)")
    counts = Counter(one.verdict for one in verdicts)
    total = len(verdicts)
    typer.echo(
        f"{total} graded: " + ", ".join(f"{count} {name} ({count / total:.1%})" for name, count in counts.most_common())
    )
    rules = Counter(one.rule for one in verdicts)
    typer.echo("decided by: " + ", ".join(f"{rule} {count}" for rule, count in rules.most_common()))
    if any(one.before is not None for one in verdicts):
        became = Counter("right" if one.verdict == "right" else "wrong" for one in verdicts if one.changed)
        typer.echo(f"verdicts that changed: {became['right']} became right, {became['wrong']} became wrong")
