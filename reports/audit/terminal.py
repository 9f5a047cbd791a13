"""An audit as a table in the terminal, with the reasons below it."""

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports.audit.printed import MEANING, Row, Verdict
from reports.audit.reported import Reported
from reports.data.numbers import listing

_STYLE = {
    Verdict.AGREES: "green",
    Verdict.DIFFERS: "bold yellow",
    Verdict.IMPOSSIBLE: "bold red",
    Verdict.UNKNOWN: "dim",
}
# Terminals from this width on also have room for the source of each claim.
_WIDE = 120
# For output that no terminal's width limits.
_UNLIMITED = 400


def summary(*, rows: Sequence[Row]) -> str:
    """How many claims there are of each verdict, in one sentence.

    Args:
        rows: From `reports.audit.audit`.
    """
    counts = Counter(row.verdict for row in rows)
    words = {
        Verdict.AGREES: "agree" if counts[Verdict.AGREES] != 1 else "agrees",
        Verdict.DIFFERS: "differ" if counts[Verdict.DIFFERS] != 1 else "differs",
        Verdict.IMPOSSIBLE: "cannot be right",
        Verdict.UNKNOWN: "cannot be recomputed",
    }
    return f"{len(rows)} claim{'s' * (len(rows) != 1)}: " + listing(
        f"{counts[verdict]} {words[verdict]}" for verdict in Verdict if counts[verdict]
    )


def show_audit(*, reported: Reported, rows: Sequence[Row], everything: bool, console: Console | None = None) -> None:
    """Print an audit, fitted to the terminal; without a terminal nothing is wrapped or cut.

    Args:
        reported: What was audited.
        rows: What came of it.
        everything: Explain the claims that agree, too.
        console: Where to; standard output if left out.
    """
    console = console or _console()
    console.print(Text(reported.title, style="bold"))
    console.print(f"{summary(rows=rows)}.")
    console.print(_table(rows, wide=console.width >= _WIDE))
    explained = [(index, row) for index, row in enumerate(rows, 1) if everything or row.verdict is not Verdict.AGREES]
    for index, row in explained:
        head = Text.assemble((f"{index}. {row.claim}: ", "bold"), (row.verdict.value, _STYLE[row.verdict]))
        console.print(head)
        for text, style in ((f"Source: {row.source}", "dim"), (row.explanation, ""), (row.formula, "dim")):
            if console.width == _UNLIMITED:
                console.print(Text(f"    {text}", style=style), soft_wrap=True)
            else:
                console.print(Padding(Text(text, style=style), (0, 0, 0, 4), expand=False))
    console.print()
    for verdict in Verdict:
        if any(row.verdict is verdict for row in rows):
            console.print(Text.assemble((verdict.value, _STYLE[verdict]), f": {MEANING[verdict]}."))
    if len(explained) < len(rows):
        console.print("--all explains the claims that agree, too.")


def _console() -> Console:
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=_UNLIMITED)


def _table(rows: Sequence[Row], *, wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("claim", ratio=3)
    if wide:
        table.add_column("source", ratio=2)
    table.add_column("reported", max_width=24 if wide else 12)
    table.add_column("recomputed", max_width=24 if wide else 12)
    table.add_column("verdict", max_width=20 if wide else 12)
    for index, row in enumerate(rows, 1):
        verdict = Text(row.verdict.value, style=_STYLE[row.verdict])
        cells = (row.claim, row.source) if wide else (row.claim,)
        table.add_row(str(index), *cells, row.reported, row.recomputed, verdict)
    return table
