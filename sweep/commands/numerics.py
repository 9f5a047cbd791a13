"""``iskpo-sweep numerics``: the published float32 filter beside the exact one."""

from typing import Annotated

import typer

from sweep.commands.arguments import sign_of_life
from sweep.input.errors import UserError


def numerics(
    q: Annotated[float, typer.Option(metavar="Q", help="Process noise variance, >= 0.")],
    v: Annotated[float, typer.Option(metavar="V", help="Measurement noise variance, > 0.")],
    length: Annotated[int, typer.Option(metavar="T", help="Tokens of a response.")],
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the log ratios.")] = 0,
    scale: Annotated[float, typer.Option(metavar="S", help="Scale of the log ratios.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; null stands for NaN and for never.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every token as CSV.")] = False,
) -> None:
    """Show where the published float32 filter departs from the exact one, and where it becomes NaN."""
    sign_of_life("compiling the filters")

    from sweep.commands.numerics_view import compare, departure_as_csv, departure_as_json, show_departure

    if as_json and as_csv:
        raise UserError("--json and --csv exclude each other")
    departure = compare(q=q, v=v, length=length, seed=seed, scale=scale)
    if as_json:
        typer.echo(departure_as_json(departure, q=q, v=v))
    elif as_csv:
        typer.echo(departure_as_csv(departure))
    else:
        show_departure(departure, q=q, v=v)
