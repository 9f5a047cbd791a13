"""A live display in a terminal that changes size."""

import io

from rich.console import Console
from rich.table import Table

from sweep.engine.resizable_live import ResizableLive

CLEAR = "\x1b[H\x1b[2J"
UP = "\x1b[1A"


def _table() -> Table:
    table = Table("trial", "state")
    for name in "abc":
        table.add_row(name * 30, "waiting")
    return table


def test_the_screen_is_emptied_after_a_change_of_size_and_only_then():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=30, color_system=None)
    with ResizableLive(get_renderable=_table, console=console, auto_refresh=False) as live:
        live.refresh()
        live.refresh()
        assert CLEAR not in out.getvalue()
        assert UP in out.getvalue()
        console.width = 60
        before = len(out.getvalue())
        live.refresh()
        drawn = out.getvalue()[before:]
        assert drawn.startswith(CLEAR)
        assert UP not in drawn
        assert drawn.count("waiting") == 3
        before = len(out.getvalue())
        live.refresh()
        assert CLEAR not in out.getvalue()[before:]
