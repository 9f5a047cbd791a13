"""`iskpo-sweep numerics`: what it prints, what it refuses, and that it loads little."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app


def _run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["numerics", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(
    ("q", "v", "length", "wrong", "nan"),
    [("5e-2", 1, 1024, "from token 31", "from token 394"), ("1e-2", 1, 1024, "from token 69", "from token 871"),
     ("1e-4", "1e-2", 1024, "from token 69", "from token 871"), ("1e-3", 1, 2800, "from token 220", "from token 2718"),
     ("1e-4", 1, 2000, "nowhere", "nowhere"), ("1e-8", 1, 20, "never before that", "from token 0")],
)  # fmt: skip
def test_says_where_it_departs_and_becomes_nan(q: str, v: object, length: int, wrong: str, nan: str) -> None:
    lines = _run("--q", q, "--v", v, "--length", length).splitlines()
    assert wrong in lines[1]
    assert lines[2].startswith(f"NaN: {nan}")


def test_the_gap_in_the_guard_is_named() -> None:
    assert "guards only Q/V < 1e-12" in _run("--q", 1e-8, "--v", 1, "--length", 5)


def test_json_and_csv_hold_the_same_numbers() -> None:
    arguments = ("--q", 1e-2, "--v", 1, "--length", 900, "--seed", 2, "--scale", 0.1)
    found = json.loads(_run(*arguments, "--json"))
    rows = list(csv.DictReader(io.StringIO(_run(*arguments, "--csv"))))
    assert found["first_nonfinite"] == 871
    assert len(rows) == 900
    for token in found["tokens"]:
        row = rows[token["token"]]
        for name, value in token.items():
            assert (row[name] == "nan") if value is None else (float(row[name]) == value)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--q", -1, "--q must"), ("--q", "nan", "--q must"), ("--v", 0, "--v must"), ("--v", "inf", "--v must"),
     ("--length", 0, "--length must"), ("--length", 10**9, "--length must"), ("--seed", -1, "--seed must"),
     ("--scale", 0, "--scale must"), ("--length", "many", "--length")],
)  # fmt: skip
def test_impossible_values_are_refused(option: str, value: object, message: str) -> None:
    arguments = {"--q": 1e-2, "--v": 1, "--length": 10, option: value}
    assert message in _run(*(part for pair in arguments.items() for part in pair), code=2)


def test_both_formats_at_once_are_refused() -> None:
    assert "exclude each other" in _run("--q", 1, "--v", 1, "--length", 2, "--json", "--csv", code=2)


def test_loads_nothing_heavier_than_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom sweep.commands.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'ray', 'verl', 'vllm', 'mlflow', 'pandas', 'scipy', 'numba', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "numerics", "--q", "1e-2", "--v", "1", "--length", "10"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
