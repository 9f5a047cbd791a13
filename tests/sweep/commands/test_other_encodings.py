"""A terminal whose encoding lacks our characters; `tests/test_every_command.py` has the locale of C."""

import json
import os
import subprocess
import sys
from pathlib import Path

from typer.main import get_command

from sweep.commands.cli import app

ROOT = Path(__file__).parents[3]
# Each command in turn, in one process; what they print is not looked at, but that they end well is.
ALL = """
import sys
from sweep.commands.cli import main
for line in sys.argv[1].split(";"):
    sys.argv = ["iskpo-sweep", *line.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (line, end.code)
sys.stderr.write("all ended well")
"""


def _commands() -> list[str]:
    found = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        found += [f"{name} {under}" for under in getattr(command, "commands", {})] or [name]
    return found


def test_every_command_prints_whatever_the_encoding(tmp_path: Path) -> None:
    study = tmp_path / "naïve.yaml"
    smoke = (ROOT / "studies" / "smoke.yaml").read_text(encoding="utf-8")
    assert "Does everything work" in smoke
    study.write_text(smoke.replace("Does everything work", "Is κ → ∞ “better”"), encoding="utf-8")
    lines = [
        *(f"{command} --help" for command in ["", *_commands()]),
        f"plan {study}",
        f"audit {ROOT}/studies/paper/reported.yaml",
        "schema",
        "numerics --q 1e-2 --v 1 --length 64",
    ]
    _run(lines, {"PYTHONIOENCODING": "ascii"})


def _run(lines: list[str], variables: dict[str, str]) -> bytes:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONUTF8", "PYTHONIOENCODING")}
    done = subprocess.run(
        [sys.executable, "-c", ALL, ";".join(lines)],
        env=environment | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stderr.endswith(b"all ended well")
    return done.stdout


def test_json_loses_no_character() -> None:
    paper = f"{ROOT}/studies/paper/reported.yaml"
    printed = _run([f"audit {paper} --json"], {"PYTHONIOENCODING": "ascii"})
    assert json.loads(printed) == json.loads(_run([f"audit {paper} --json"], {"PYTHONIOENCODING": "utf-8"}))
    assert "κ" in json.dumps(json.loads(printed), ensure_ascii=False)
