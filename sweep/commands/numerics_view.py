"""Shows where the published float32 formula leaves the exact filter. Needs torch and numpy, and starts nothing."""

import csv
import io
import json
import math
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from iskpo.published.departure import TOLERANCE, Departure, public_departure
from sweep.input.errors import UserError

_LONGEST = 1_000_000
_COLUMNS = ("token", "exact_gain", "public_gain", "exact_rho", "public_rho", "error")
_HEADINGS = ("token", "exact gain", "public gain", "exact rho", "public rho", "error %")


def compare(*, q: float, v: float, length: int, seed: int, scale: float) -> Departure:
    """Run both filters.

    Raises:
        UserError: A value that no filter can run with.
    """
    if not 1 <= length <= _LONGEST:
        raise UserError(f"--length must lie between 1 and {_LONGEST} tokens, got {length}")
    if seed < 0:
        raise UserError(f"--seed must be >= 0, got {seed}")
    if not (math.isfinite(scale) and scale > 0):
        raise UserError(f"--scale must be finite and > 0, got {scale}")
    try:
        return public_departure(q=q, v=v, length=length, seed=seed, scale=scale)
    except ValueError as error:
        raise UserError(f"--{error}") from None


def show_departure(departure: Departure, *, q: float, v: float) -> None:
    """Print the answer, its reason and a table of selected tokens."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    length = len(departure.error)
    console.print(
        f"Published float32 formula (public-cumsum-fp32) against the exact filter: Q {q:g}, V {v:g}, Q/V {q / v:g}"
    )
    wrong, nonfinite = departure.first_wrong, departure.first_nonfinite
    console.print(
        f"Departs by more than {100 * TOLERANCE:g} % of the largest |rho|: "
        + (f"from token {wrong}" if wrong is not None else "never before that" if nonfinite is not None else "nowhere")
    )
    console.print(f"NaN: {'nowhere' if nonfinite is None else f'from token {nonfinite}'} in {length} tokens")
    console.print(f"Why: {why(departure, ratio=q / v)}")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for token in departure.selected_tokens():
        row = _row(departure, token)
        table.add_row(str(token), *(f"{row[name]:.5g}" for name in _COLUMNS[1:5]), f"{100 * row['error']:.3g}")
    console.print(table)
    console.print(
        "Tokens count from 0. z is student-t(3) times the scale, in 8 sequences; rho is shown of the first, and the "
        "error is the largest of all, of the largest |rho|."
    )


def why(departure: Departure, *, ratio: float) -> str:
    """What in the formula makes it depart, in words."""
    if departure.first_nonfinite == 0:
        return "1 + Q/2V rounds to 1 in float32, and the public code guards only Q/V < 1e-12: every gain is 0/0 = NaN"
    if departure.first_nonfinite is not None:
        return "the product of 1 - gain reaches its floor of 1e-30, and then the gains' hyperbolic sine overflows"
    if departure.first_wrong is None:
        return "at these lengths float32 holds both the product of 1 - gain and the gains"
    if float(departure.exact_gain[0]) < 1e-6 and departure.first_wrong == 0:
        return "the public code holds gains at or above 1e-6, which is more than the exact gain here"
    if math.isclose(float(departure.public_gain[-1]), float(departure.exact_gain[-1]), rel_tol=1e-2):
        return "the product of 1 - gain reaches its floor of 1e-30, and the sum goes on growing"
    return "Q/V is so small that rounding of 1 + Q/2V in float32, and the floor of 1e-6, shift the gains"


def departure_as_json(departure: Departure, *, q: float, v: float) -> str:
    """The answer and the selected tokens; null stands for NaN and for "never"."""
    return json.dumps(
        {
            "q": q,
            "v": v,
            "length": len(departure.error),
            "first_wrong": departure.first_wrong,
            "first_nonfinite": departure.first_nonfinite,
            "largest_rho": departure.scale,
            "why": why(departure, ratio=q / v),
            "tokens": [
                {name: value if math.isfinite(value) else None for name, value in _row(departure, token).items()}
                for token in departure.selected_tokens()
            ],
        },
        indent=2,
        allow_nan=False,
    )


def departure_as_csv(departure: Departure) -> str:
    """Every token; nan where the formula is NaN."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(departure, token) for token in range(len(departure.error)))
    return text.getvalue().rstrip("\n")


def _row(departure: Departure, token: int) -> dict[str, Any]:
    return {
        "token": token,
        "exact_gain": float(departure.exact_gain[token]),
        "public_gain": float(departure.public_gain[token]),
        "exact_rho": float(departure.exact_rho[token]),
        "public_rho": float(departure.public_rho[token]),
        "error": float(departure.error[token]),
    }
