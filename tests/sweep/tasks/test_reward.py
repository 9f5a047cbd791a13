import json
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.utils.import_utils import load_extern_object

from sweep.tasks.arithmetic import reward
from sweep.tasks.arithmetic.reward import compute_score

KEYS = {"score", "parsed", "answer", "tokens", "truncated", "benchmark", "problem_id"}
VERLS_OWN_COLUMNS = {"input", "output", "gts", "step", "uid", "reward"}


@pytest.mark.parametrize(
    ("response", "score", "answer"),
    [
        ("7*6=42\n#### 42", 1.0, "42"),
        ("#### 42\n", 1.0, "42"),
        ("####42", 1.0, "42"),
        ("#### 43", 0.0, "43"),
        ("#### 43\n#### 42", 1.0, "42"),
        ("#### 042", 0.0, "042"),
        ("#### ４２", 0.0, ""),
        ("#### 42 or 43", 0.0, ""),
        ("#### -42", 0.0, ""),
        ("42", 0.0, ""),
        ("#### ", 0.0, ""),
        ("", 0.0, ""),
    ],
)
def test_the_number_after_the_last_marker_counts(response, score, answer):
    result = compute_score("arithmetic", response, "42", {"problem_id": "7x6"})
    assert (result["score"], result["answer"], result["parsed"]) == (score, answer, bool(answer))
    assert result["problem_id"] == "7x6"
    assert result["benchmark"] == "arithmetic"


@pytest.mark.parametrize(("length", "tokens", "truncated"), [(0, 1, False), (95, 96, False), (96, 96, True)])
def test_tokens_count_the_end_token_unless_cut_off(length, tokens, truncated):
    result = compute_score("arithmetic", "7" * length, "42")
    assert (result["tokens"], result["truncated"]) == (tokens, truncated)


def test_a_shorter_response_limit_can_be_given():
    result = compute_score("arithmetic", "7" * 32, "42", max_response_tokens=32)
    assert (result["tokens"], result["truncated"]) == (32, True)


hostile = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.integers())


@given(
    data_source=hostile,
    response=hostile | st.text(alphabet="#0123456789 \n-٣\x00", max_size=80),
    truth=hostile,
    extra_info=hostile | st.dictionaries(st.sampled_from(["problem_id", "index"]), hostile),
)
@settings(derandomize=True, deadline=None, max_examples=500)
def test_any_input_gives_the_same_keys_and_plain_types(data_source, response, truth, extra_info):
    result = compute_score(data_source, response, truth, extra_info, unknown=1)
    assert set(result) == KEYS
    assert {key: type(value) for key, value in result.items()} == {
        "score": float,
        "parsed": bool,
        "answer": str,
        "tokens": int,
        "truncated": bool,
        "benchmark": str,
        "problem_id": str,
    }
    json.dumps(result)


@pytest.mark.parametrize("unit", ["#### 1", "9", " ", "#", "\n", "#### ", "#### 42\n"])
def test_megabytes_are_read_in_no_time(unit):
    response = unit * (4_000_000 // len(unit))
    began = time.process_time()
    for _ in range(100):
        compute_score("arithmetic", response, "42")
    assert time.process_time() - began < 0.5


def test_verl_loads_it_by_path_and_takes_its_entries_in_validation():
    score = load_extern_object(module_path=reward.__file__, object_name="compute_score")
    results = [score("arithmetic", f"#### {guess}", "42", {"problem_id": "7x6"}) for guess in (42, 41)]
    assert not VERLS_OWN_COLUMNS & set(results[0])
    columns = {key: [result[key] for result in results] for key in results[0]}
    metrics = process_validation_metrics(["arithmetic"] * 2, ["uid"] * 2, columns)["arithmetic"]
    assert metrics["score"]["mean@2"] == 0.5
    assert metrics["parsed"]["mean@2"] == 1.0
    # As verl's agent loop gathers them: one typed array a key.
    assert all(np.array(values).dtype != object for values in columns.values())


def test_importing_it_imports_nothing_heavy():
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('reward', {reward.__file__!r})\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        "print(sorted(name for name in ('torch', 'numpy', 'transformers', 'sweep') if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
