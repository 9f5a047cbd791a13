import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app

PAIRS = [("1/2", "0.5"), ("7", "8"), ("7", "what?"), ("28\\%", "0.28"), ("x", "x\u2028+0")]


def _grade(*arguments) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["grade", *map(str, arguments)])
    return result.exit_code, result.output


def test_pairs_of_a_csv_file_are_shown_with_rule_and_reading(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("\ufefftruth,answer\n1/2,0.5\n7,8\n7,what?\n28\\%,0.28\n", encoding="utf-8")
    code, text = _grade(file)
    assert code == 0
    assert "row 1: right, by value\n    truth   1/2\n    answer  0.5   read as 1/2\n" in text
    assert "row 3: unreadable, by unreadable" in text
    assert "row 4: right, by percent\n    truth   28\\%   read as 28%" in text
    assert "4 graded: 2 right (50.0%), 1 wrong (25.0%), 1 unreadable (25.0%)" in text


def test_json_has_a_line_a_row(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text(
        "".join(json.dumps({"truth": truth, "answer": answer}, ensure_ascii=False) + "\n" for truth, answer in PAIRS)
    )
    code, text = _grade(file, "--json")
    lines = [json.loads(line) for line in text.split("\n") if line.startswith("{")]
    assert code == 0
    assert [line["verdict"] for line in lines] == ["right", "wrong", "unreadable", "right", "right"]
    assert lines[0] == {
        "file": str(file), "row": 1, "verdict": "right", "rule": "value", "truth": "1/2", "answer": "0.5",
        "truth_read": "1/2", "answer_read": "1/2", "before": None,
    }  # fmt: skip


def test_samples_of_verl_keep_their_verdict_beside_the_new_one(tmp_path):
    file, written = tmp_path / "1.jsonl", tmp_path / "new.parquet"
    rows = [
        {"input": "?", "output": r"so \boxed{28\%}", "gts": "0.28", "score": 0.0, "step": 1},
        {"input": "?", "output": r"so \boxed{7t}", "gts": "7", "score": 1.0, "step": 1},
        {"input": "?", "output": "no box", "gts": "7", "score": 0.0, "step": 1},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, text = _grade(file, "--output", written)
    assert code == 0
    assert "row 1: right (was wrong), by percent" in text
    assert "verdicts that changed: 1 became right, 1 became wrong" in text
    table = pd.read_parquet(written)
    assert list(table["score"]) == [0.0, 1.0, 0.0]
    assert list(table["verdict"]) == ["right", "wrong", "unreadable"]
    assert list(table["before"]) == [False, True, False]
    assert _grade(file, "--output", written)[0] == 2


def test_a_studys_folder_is_graded_whole(tmp_path):
    folder = tmp_path / "artifacts" / "7" / "samples"
    folder.mkdir(parents=True)
    for step in (1, 2):
        pd.DataFrame(
            {
                "response": [r"\boxed{1/2}", r"\boxed{3}"],
                "truth": ["0.5", "4"],
                "answer": ["1/2", "3"],
                "correct": [True, True],
            }
        ).to_parquet(folder / f"step_{step:04d}.parquet")
    code, text = _grade(tmp_path)
    assert code == 0
    assert "4 graded: 2 right (50.0%), 2 wrong (50.0%)" in text
    assert "0 became right, 2 became wrong" in text


def test_matching_is_chosen(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text(
        json.dumps({"truth": r"\frac12", "answer": "0.5"})
        + "\n"
        + json.dumps({"truth": r"\frac12", "answer": r"\dfrac{1}{2}"})
    )
    assert "2 right" in _grade(file)[1]
    assert "1 right (50.0%)" in _grade(file, "--matching", "strict")[1]
    assert "2 wrong" in _grade(file, "--matching", "exact")[1]


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        (
            "a.jsonl",
            '{"answer": "1"}\n',
            [],
            "row 1 has no right answer (truth, ground_truth, gts, gold, target); its columns: answer",
        ),
        ("a.jsonl", '{"truth": "1"}\n', [], "row 1 has no answer"),
        ("a.jsonl", "", [], "no rows"),
        ("a.txt", "1", [], "unknown format '.txt'"),
        ("a.csv", "truth,answer\n", [], "no rows"),
        ("a.csv", "truth,answer\n1,1\n", ["--matching", "strikt"], "unknown matching 'strikt'"),
        ("a.csv", "truth,answer\n1,1\n", ["--output", "x.xlsx"], "--output ends in .csv, .jsonl or .parquet"),
    ],
)
def test_what_cannot_be_graded_is_said(tmp_path, name, content, arguments, message):
    (tmp_path / name).write_text(content)
    code, text = _grade(tmp_path / name, *arguments)
    assert code == 2
    assert message in " ".join(text.split())


def test_a_folder_without_samples_is_refused(tmp_path):
    code, text = _grade(tmp_path)
    assert code == 2
    assert "no samples of a study in this folder" in text
