"""`iskpo-sweep audit`: what it prints and writes, its exit codes, and that it starts nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app

PAPER = Path(__file__).parents[3] / "studies" / "paper" / "reported.yaml"


def _run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["audit", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_the_paper_is_audited_and_differences_are_no_error():
    output = _run(PAPER)
    assert "11 differ, 3 cannot be right" in output
    assert "0.987" in output
    assert "Explain" not in output


def test_all_explains_more():
    assert "6. KPO-strong minus KPO-weak" not in _run(PAPER)
    assert "6. KPO-strong minus KPO-weak" in _run(PAPER, "--all")


def test_json_is_json():
    content = json.loads(_run(PAPER, "--json"))
    assert {row["verdict"] for row in content["rows"]} == set(content["counts"])


def test_a_file_is_written_once(tmp_path):
    path = tmp_path / "audit.csv"
    assert f"Written to {path}" in _run(PAPER, "--output", path)
    first = path.read_text()
    assert first.startswith("kind,claim,source,reported,recomputed,verdict")
    assert "exists" in _run(PAPER, "--output", path, code=2)
    path.write_text("old")
    _run(PAPER, "--output", path, "--overwrite")
    assert path.read_text() == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing.yaml",), "nothing.yaml: no such file"),
        ((PAPER, "--output", "audit.docx"), "must end in one of .pdf"),
        ((PAPER, "--json", "--output", "audit.json"), "end the file's name in .json"),
        ((), "Missing argument"),
    ],
)
def test_wrong_input_is_refused(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in _run(*arguments, code=2)
    assert list(tmp_path.iterdir()) == []


def test_a_study_is_no_table(tmp_path):
    message = _run(PAPER.parents[1] / "smoke.yaml", code=2)
    assert "title: this key is missing" in message
    assert "space: unknown key" in message


def test_help_has_an_example_and_the_exit_codes():
    output = " ".join(_run("--help").split())
    assert "iskpo-sweep audit studies/paper/reported.yaml --output audit.pdf" in output
    assert "0 the audit ran, also where claims differ 2 wrong input" in output


def test_loads_nothing_heavy(tmp_path):
    code = (
        "import sys\nfrom sweep.commands.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'ray', 'verl', 'vllm', 'mlflow', 'torch', 'numba', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "audit", str(PAPER), "--output", "audit.pdf"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "audit.pdf").read_bytes().startswith(b"%PDF")
