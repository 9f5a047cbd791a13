import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from verl.utils.dataset.rl_dataset import RLHFDataset

from sweep.input.errors import UserError
from sweep.tasks.arithmetic.tokenizer import build_tokenizer
from sweep.tasks.maths.data_cache import read_stored, stored
from sweep.tasks.maths.data_file import file_sha256, read_rows
from sweep.tasks.maths.fetch import fetch
from sweep.tasks.maths.overlap import overlaps, words
from sweep.tasks.maths.prepare import prepare
from sweep.tasks.maths.problems import INSTRUCTION, Problem, answers_digest, distinct_problems
from sweep.tasks.maths.sources import BENCHMARKS, SOURCES, Source

ROWS = [
    {"problem": f"What is {n} plus one?", "answer": str(n + 1), "subject": "Algebra", "level": n % 5 + 1, "id": n + 60}
    for n in range(6)
]
SOURCE = Source(
    name="sums", split="test", hub_id="nobody/sums", revision="1" * 40, file="sums.jsonl", file_sha256="0" * 64, rows=6,
    problems=(6, 6), answers_sha256="0" * 64,
)  # fmt: skip
DAPO = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.\n\n{}\n\nRemember to put your answer on its "
    'own line after "Answer:".'
)


def write(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_every_format_gives_the_same_problems(tmp_path, suffix):
    shown = []
    path = write(tmp_path / f"sums{suffix}", ROWS)
    found = distinct_problems(read_rows(path, progress=lambda *both: shown.append(both)), where=str(path))
    assert found.problems[0] == Problem("60", "What is 0 plus one?", "1", "Algebra", "1")
    assert [problem.answer for problem in found.problems] == ["1", "2", "3", "4", "5", "6"]
    assert found.problems[5].prompt == f"What is 5 plus one?\n\n{INSTRUCTION}"
    assert shown[-1][0] == shown[-1][1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"problem": "x", "answer": "1"}\nnonsense\n', r"a\.jsonl:2: no JSON"),
        ("a.jsonl", "[1]\n", r"a\.jsonl:1: expected an object .* found list"),
        ("a.json", '{"rows": []}', r"a\.json: expected a list of rows, found dict"),
        ("a.json", "[]", r"a\.json: no rows"),
        ("a.parquet", "text", r"a\.parquet: damaged, or no parquet file"),
        ("a.csv", "x", r"a\.csv: unknown format '\.csv'; valid: \.jsonl, \.json, \.parquet"),
        ("a.jsonl", '{"problme": "x", "answer": "1"}\n', r"no column 'problem' .*did you mean 'problme'\?"),
        ("a.jsonl", '{"problem": "x", "anwser": "1"}\n', r"no column 'answer' .*did you mean 'anwser'\?"),
        ("a.jsonl", '{"problem": "x", "answer": "1"}\n{"problem": "y"}\n', r"row 2: column 'answer' is empty"),
        ("a.jsonl", '{"problem": " ", "answer": "1"}\n', r"row 1: column 'problem' is empty"),
        ("a.jsonl", "\xff", r"a\.jsonl:1: no JSON"),
        ("a.jsonl", '{"problem": "x", "answer": ["7"]}\n', r"a\.jsonl: row 1: column 'answer' holds a list, not one"),
        ("a.json", '[{"problem": "x", "answer": NaN}]', r"a\.json: row 1: column 'answer' holds nan, not an answer"),
        ("a.jsonl", '{"problem": "x", "answer": "NaN"}\n', r"row 1: column 'answer' holds NaN"),
        ("a.jsonl", '{"problem": "x", "answer": Infinity}\n', r"row 1: column 'answer' holds inf"),
        ("a.jsonl", '{"problem": "x", "answer": "2+2=4\\n#### 4"}\n', r"row 1: column 'answer' holds ####"),
        ("a.jsonl", r'{"problem": "x", "final_answer": "\\boxed{7}"}', r"row 1: column 'final_answer' holds \\boxed"),
        (
            "a.jsonl",
            '{"problem": "x", "answer": "1"}\n{"problem": "y", "answer": "' + "9x" * 450 + '"}\n',
            r"a\.jsonl: row 2: column 'answer' holds 900 characters, more than the 512",
        ),
        (
            "a.jsonl",
            '{"prompt": "x", "reward_model": {"ground_truth": ["7"]}}\n',
            r"row 1: column 'reward_model' holds a list",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        distinct_problems(read_rows(path), where=str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.jsonl: no such file"):
        list(read_rows(tmp_path / "gone.jsonl"))


def test_published_copies_differ_in_form_and_give_the_same_problem():
    verls = {
        "prompt": [{"role": "user", "content": DAPO.format("What is $1+1$?")}],
        "reward_model": {"ground_truth": "2", "style": "rule"},
        "extra_info": {"index": "a-1"},
    }
    assert distinct_problems([verls], where="f").problems == [Problem("a-1", "What is $1+1$?", "2")]
    for row in (
        {"Problem": "What is $1+1$?", "Answer": 2},
        {"question": " What is $1+1$?\n", "answer": "$2$"},
        {"problem": "What is $1+1$?", "answer": 2.0},
        {"problem": "What is $1+1$?", "answer": "002"},
        {"problem": "What is $1+1$?", "answer": r"2^\circ"},
        {"problem": "What is $1+1$?", "solution": "add", "final_answer": "2"},
    ):
        assert distinct_problems([row], where="f").problems == [Problem("0", "What is $1+1$?", "2")]
    for kept in (r"\frac{1}{2}", "-3", "$1$ and $2$", r"x^\circ", "1.50", "٣"):
        assert distinct_problems([{"problem": "x", "answer": kept}], where="f").problems[0].answer == kept


def test_repeated_and_contradictory_rows():
    rows = [
        {"problem": "one", "answer": "1", "id": "a"},
        {"problem": "two", "answer": "2", "id": "b"},
        {"problem": " one\n", "answer": "01", "id": "c"},
        {"problem": "two", "answer": "3", "id": "d"},
        {"problem": "two", "answer": "2", "id": "e"},
        {"problem": "three", "answer": "3", "id": "a"},
    ] * 100
    found = distinct_problems(rows, where="f")
    assert (found.rows, found.contradictory) == (600, 1)
    assert [(problem.identifier, problem.text) for problem in found.problems] == [("0", "one"), ("1", "three")]


def test_the_digest_of_answers_ignores_order_and_wording():
    problems = [Problem("1", "x", "2"), Problem("2", "y", "3")]
    again = [Problem("b", "Y", "3"), Problem("a", "X", "2")]
    assert answers_digest(problems) == answers_digest(again) != answers_digest([*again, Problem("c", "Z", "2")])


def expecting(path: Path, **changes: object) -> Source:
    """The source as if this file were the published one."""
    return dataclasses.replace(SOURCE, file_sha256=file_sha256(path), **changes)


def test_the_published_file_the_published_answers_and_anything_else(tmp_path):
    path = write(tmp_path / "sums.jsonl", ROWS)
    digest = answers_digest(distinct_problems(ROWS, where="").problems)
    assert fetch(source=expecting(path), cache=tmp_path / "c", given=str(path)).verified == "checksum"

    source = expecting(path, answers_sha256=digest)
    reworded = write(tmp_path / "other.json", [{**row, "problem": row["problem"] + " Now!"} for row in ROWS[::-1]])
    assert fetch(source=source, cache=tmp_path / "c", given=str(reworded)).verified == "answers"

    for rows, message in (
        (ROWS[:5], r"not sums: it has 5 distinct problems, expected 6; .*--accept-other"),
        ([*ROWS[:5], {**ROWS[5], "answer": "7"}], r"other answers than the published ones; .*--accept-other"),
    ):
        other = write(tmp_path / "other.parquet", rows)
        with pytest.raises(UserError, match=message):
            fetch(source=source, cache=tmp_path / "c", given=str(other))
        manifest = fetch(source=source, cache=tmp_path / "c", given=str(other), accept_other=True)
        assert (manifest.verified, manifest.problems) == ("nothing", len(rows))

    unchecked = dataclasses.replace(source, answers_sha256=None)
    with pytest.raises(UserError, match=r"its SHA-256 is .* that of the published file"):
        fetch(source=unchecked, cache=tmp_path / "c", given=str(reworded))
    with pytest.raises(UserError, match="it has 6 rows, expected 7"):
        fetch(source=dataclasses.replace(source, rows=7), cache=tmp_path / "c", given=str(path))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{}/gone.jsonl", "gone.jsonl: no such file"),
        ("data/gone.jsonl", "data/gone.jsonl: no such file, and no OWNER/NAME"),
        ("{}", "is a folder; name a file in it"),
        ("nonsense", "nonsense: no such file, and no OWNER/NAME"),
    ],
)
def test_what_is_given_must_be_there(tmp_path, given, message):
    with pytest.raises(UserError, match=message):
        fetch(source=SOURCE, cache=tmp_path / "c", given=given.format(tmp_path))


def test_the_cache_is_written_once_and_changes_are_noticed(tmp_path):
    path = write(tmp_path / "sums.jsonl", ROWS)
    source = expecting(path)
    assert stored(cache=tmp_path / "c", source=source) is None
    with pytest.raises(UserError, match="sums was not fetched yet; run: iskpo-sweep data fetch sums"):
        read_stored(cache=tmp_path / "c", source=source)

    manifest = fetch(source=source, cache=tmp_path / "c", given=str(path))
    parquet, _ = stored(cache=tmp_path / "c", source=source)
    before = parquet.stat().st_mtime_ns
    assert fetch(source=source, cache=tmp_path / "c", given=str(path)) == manifest
    assert stored(cache=tmp_path / "c", source=source) == (parquet, manifest)
    assert parquet.stat().st_mtime_ns == before
    assert sorted(one.suffix for one in (tmp_path / "c" / "maths").iterdir()) == ["", ".json"]
    problems, _ = read_stored(cache=tmp_path / "c", source=source)
    assert problems == distinct_problems(ROWS, where="").problems

    as_parquet = write(tmp_path / "sums.parquet", ROWS)
    same = fetch(source=expecting(as_parquet), cache=tmp_path / "c", given=str(as_parquet))
    assert same.content_sha256 == manifest.content_sha256

    parquet, _ = stored(cache=tmp_path / "c", source=source)
    parquet.write_bytes(parquet.read_bytes()[:-1])
    with pytest.raises(UserError, match="was changed since it was written"):
        read_stored(cache=tmp_path / "c", source=source)


def test_verls_dataset_reads_training_and_evaluation_alike(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    bare = [{"problem": f"{n}+{n}", "answer": str(2 * n)} for n in range(6)]
    files = []
    for name, split, rows in (("sums", "test", ROWS), ("doubles", "train", bare)):
        path = write(tmp_path / f"{name}.jsonl", rows)
        source = expecting(path, name=name, split=split)
        fetch(source=source, cache=tmp_path / "c", given=str(path))
        files.append(str(stored(cache=tmp_path / "c", source=source)[0]))
    config = OmegaConf.create(
        {"cache_dir": str(tmp_path), "max_prompt_length": 200, "filter_overlong_prompts": True, "return_raw_chat": True,
         "filter_overlong_prompts_workers": None}
    )  # fmt: skip
    dataset = RLHFDataset(data_files=files, tokenizer=build_tokenizer(), config=config)
    assert len(dataset) == 12
    first, last = dataset[0], dataset[11]
    assert first["raw_prompt"] == [{"role": "user", "content": f"What is 0 plus one?\n\n{INSTRUCTION}"}]
    assert (first["data_source"], first["extra_info"]["level"], first["extra_info"]["subject"]) == (
        "sums",
        "1",
        "Algebra",
    )
    assert (last["reward_model"]["ground_truth"], last["extra_info"]["problem_id"]) == ("10", "5")


def test_overlap_is_by_words_and_by_runs_of_thirteen():
    long = "Let the function f be given by f(x) = x^2 + 3x + 5 for every real number x; find f(7) modulo 11 exactly."
    training = [
        Problem("1", "  what is $1 + 2$ ?", "3"),
        Problem("2", f"Mary says: {long} Then she leaves.", "1"),
        Problem("3", "Let the function f be given by something else entirely", "1"),
    ]
    evaluation = [
        Problem("same", "What is 1 + 2?", "3"),
        Problem("inside", long, "1"),
        Problem(
            "half", " ".join(long.split()[:16]) + " but here the question is another one altogether, is it not?", "1"
        ),
        Problem("short", "Let the function f be given", "1"),
        Problem(
            "other", "Compute the area of a circle of radius two in square units, to the nearest whole number.", "13"
        ),
    ]
    shown = []
    found = {
        one.identifier: one
        for one in overlaps(training=training, evaluation=evaluation, progress=lambda *both: shown.append(both))
    }
    assert set(found) == {"same", "inside", "half"}
    assert found["same"].same_text
    assert (found["inside"].same_text, found["inside"].runs) == (False, 1.0)
    assert 0 < found["half"].runs < 0.5
    assert shown == [(1, 3), (2, 3), (3, 3)]
    assert words("Ｆind the Ａrea\u00a0of  straße_1") == ("find", "the", "area", "of", "strasse", "1")


def test_the_sources_are_told_apart_by_name():
    assert [source.name for source in BENCHMARKS] == ["math-500", "aime-2024", "aime-2025"]
    assert [source.problems for source in BENCHMARKS] == [(500, 500), (30, 30), (30, 30)]
    for source in SOURCES.values():
        assert len(source.revision) == 40
        assert len(source.file_sha256) == len(source.answers_sha256 or "0" * 64) == 64


def test_the_task_is_ready_when_every_set_was_fetched(tmp_path):
    model, cache = tmp_path / "model", tmp_path / "c"
    model.mkdir()
    with pytest.raises(UserError, match=r"dapo-math-17k, math-500, aime-2024, aime-2025; run: iskpo-sweep data fetch"):
        prepare(cache=cache, model=str(model))
    path = write(tmp_path / "sums.jsonl", ROWS)
    for source in SOURCES.values():
        fetch(source=source, cache=cache, given=str(path), accept_other=True)
    task = prepare(cache=cache, model=str(model))
    assert task.model_dir == model
    assert list(task.eval_parquets) == ["math-500", "aime-2024", "aime-2025"]
    assert all(one.is_file() for one in (task.train_parquet, task.reward_file, *task.eval_parquets.values()))
    assert set(pd.read_parquet(task.eval_parquets["aime-2024"])["data_source"]) == {"aime-2024"}
    assert task.accuracy_note.endswith(
        "trains on 6 problems of dapo-math-17k, judged on math-500 (6), aime-2024 (6), aime-2025 (6)"
    )
    assert set(task.summary["verified"].values()) == {"nothing"}
