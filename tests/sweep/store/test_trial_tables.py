import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.store.trial_tables import COLUMNS, accuracy, read_samples


def _dump(path: Path, verdicts: np.ndarray) -> Path:
    lines = [
        json.dumps(
            {
                "input": f"{problem}?",
                "output": "text",
                "gts": "1",
                "score": float(right),
                "step": 3,
                "benchmark": "sums",
                "problem_id": f"p{problem}",
                "parsed": bool(right),
            }
        )
        for problem, row in enumerate(verdicts)
        for right in row
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@settings(max_examples=30, deadline=None)
@given(verdicts=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=2, max_size=12))
def test_accuracy_of_dumped_samples(verdicts: list[list[bool]], tmp_path_factory: pytest.TempPathFactory) -> None:
    array = np.array(verdicts)
    table = read_samples(_dump(tmp_path_factory.mktemp("samples") / "3.jsonl", array))
    assert tuple(table.columns) == COLUMNS
    assert len(table) == array.size
    metrics = accuracy(table, k=4)
    per_problem = array.mean(axis=1)
    assert metrics["eval/sums/avg_at_4"] == pytest.approx(per_problem.mean())
    assert metrics["eval/sums/pass_at_4"] == pytest.approx(array.any(axis=1).mean())
    assert metrics["eval/sums/avg_se"] == pytest.approx(per_problem.std(ddof=1) / math.sqrt(len(array)))
    assert metrics["eval/sums/unparsed"] == pytest.approx(1 - array.mean())


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85"])
def test_a_line_of_samples_ends_where_json_says(tmp_path: Path, character: str) -> None:
    path = _dump(tmp_path / "3.jsonl", np.ones((1, 4)))
    path.write_text(path.read_text().replace('"text"', f'"so{character}text"'), encoding="utf-8")
    assert set(read_samples(path)["response"]) == {f"so{character}text"}


def test_a_lost_sample_is_an_error(tmp_path: Path) -> None:
    table = read_samples(_dump(tmp_path / "3.jsonl", np.ones((3, 4))))
    with pytest.raises(ValueError, match="expected 4 samples a problem"):
        accuracy(pd.DataFrame(table.iloc[:-1]), k=4)
