"""What the replay command is asked for, from text. Imports nothing heavy, so a wrong word is refused at once."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from sweep.input.errors import UserError, did_you_mean

_COLUMNS = ("q", "v", "kappa", "p0", "rho0")
_MOST = 1_000_000


@dataclass(frozen=True)
class GridRequest:
    """A grid of steady-state gains and thresholds, evenly spaced in their logarithms.

    Attributes:
        gains: Number of gains.
        thresholds: Number of thresholds.
        gain: Lowest and highest gain; None for a range that holds the study's.
        threshold: Lowest and highest threshold in log-ratio units; None for a range that holds the log ratios.
    """

    gains: int
    thresholds: int
    gain: tuple[float, float] | None = None
    threshold: tuple[float, float] | None = None


def grid_request(*, grid: str, gain: str | None, threshold: str | None) -> GridRequest:
    """Read ``100x100`` and ranges such as ``1e-4:0.5``.

    Raises:
        UserError: A text that is not of that form, or a range in which there is no filter.
    """
    sides = grid.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() and int(side) >= 2 for side in sides):
        raise UserError(f"--grid must be GAINSxTHRESHOLDS with at least 2 of each, such as 100x100, got {grid!r}")
    gains, thresholds = map(int, sides)
    if gains * thresholds > _MOST:
        raise UserError(f"--grid {grid} has {gains * thresholds:,} settings; the most is {_MOST:,}")
    return GridRequest(
        gains=gains,
        thresholds=thresholds,
        gain=None if gain is None else _range("--gain", gain, below=1.0),
        threshold=None if threshold is None else _range("--threshold", threshold, below=math.inf),
    )


def _range(option: str, text: str, *, below: float) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise UserError(f"{option} must be LOW:HIGH, such as 1e-4:0.5, got {text!r}") from None
    if not 0 < low < high < below:
        limit = "" if math.isinf(below) else f" < {below:g}"
        raise UserError(f"{option} must have 0 < LOW < HIGH{limit}, got {text!r}")
    return low, high


def read_settings(path: Path) -> dict[str, list[float]]:
    """Columns of a CSV file with a setting a row: q and v, and if wanted kappa (inf for none), p0 and rho0.

    Raises:
        UserError: There is no such file, or something in it is not a number in its range; with the line.
    """
    try:
        # Spreadsheets begin a file with a byte-order mark, and where a comma stands in decimals they separate by ";".
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        delimiter = next((mark for mark in ",;\t" if mark in header), ",")
        reader = csv.reader(text.split("\n"), delimiter=delimiter)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise UserError(
            f"--settings {path}: {(error.strerror or 'cannot be read').lower()}; give a CSV file with the columns "
            f"{', '.join(_COLUMNS)}, of which q and v are needed"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"--settings {path}: is no text, so no CSV file; save it as UTF-8 text") from None
    except csv.Error as error:
        raise UserError(f"--settings {path}: is no CSV file: {error}") from None
    first, names = (rows[0][0], [name.strip() for name in rows[0][1]]) if rows else (1, [])
    for name in names:
        if name not in _COLUMNS:
            raise UserError(f"{path}:{first}: unknown column {name!r}{did_you_mean(name, list(_COLUMNS))}")
    if not {"q", "v"} <= set(names) or len(set(names)) < len(names):
        raise UserError(f"{path}:{first}: the first line must name the columns q and v, each column once")
    columns: dict[str, list[float]] = {name: [] for name in names}
    for line, row in rows[1:]:
        if len(row) != len(names):
            raise UserError(f"{path}:{line}: {len(row)} values for {len(names)} columns")
        for name, text in zip(names, row, strict=True):
            columns[name].append(_number(text, name, where=f"{path}:{line}"))
    if not columns["q"]:
        raise UserError(f"{path} holds no setting")
    return columns


def _number(text: str, name: str, *, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        hint = "; write decimals with a point" if "," in text else ""
        raise UserError(f"{where}: {name} must be a number, got {text!r}{hint}") from None
    least = "> 0" if name in ("v", "kappa") else ">= 0"
    ok = {
        "rho0": math.isfinite(value),
        "kappa": value > 0,
        "v": 0 < value < math.inf,
    }.get(name, 0 <= value < math.inf)
    if not ok:
        raise UserError(f"{where}: {name} must be " + ("finite" if name == "rho0" else least) + f", got {text}")
    return value
