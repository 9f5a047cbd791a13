r"""The small model of the mathematics task: it writes ``\boxed{...}``, and its tokenizer writes anything."""

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

from sweep.tasks.arithmetic.model import build_model
from sweep.tasks.maths import teach_form as module
from sweep.tasks.maths.problems import Problem
from sweep.tasks.maths.teach_form import build_tokenizer, main, teach_form

PROMPTS = [Problem(identifier=str(n), text=f"What is ${n} + {n % 7}$?", answer="").prompt for n in range(40)]
ANSWERS = [str(n + n % 7) for n in range(40)]
TOKENIZER = build_tokenizer([*PROMPTS, *ANSWERS])


@settings(max_examples=30)
@given(st.text(max_size=60))
def test_any_text_can_be_written_and_read_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text, add_special_tokens=False)) == text


def test_common_pieces_take_one_token() -> None:
    assert len(TOKENIZER.encode(PROMPTS[0], add_special_tokens=False)) < len(PROMPTS[0]) / 3
    assert len(TOKENIZER) <= module.VOCABULARY


def test_verl_finds_the_marks_of_its_model_type() -> None:
    builder = create_continuous_token_builder(TOKENIZER, hf_model_type="qwen3")
    assert builder._im_end_id == TOKENIZER.eos_token_id
    text = TOKENIZER.apply_chat_template([{"role": "user", "content": "x"}], add_generation_prompt=True, tokenize=False)
    assert text == "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n"


def test_an_answer_is_what_is_taught_and_the_problem_is_not() -> None:
    ids, start = module._row(TOKENIZER, PROMPTS[3], "6")
    assert TOKENIZER.decode(ids[start:], skip_special_tokens=True) == r"\boxed{6}"
    assert ids[-1] == TOKENIZER.eos_token_id
    assert len(ids[:start]) <= module._CONTEXT


def test_some_steps_teach_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 25)
    model = build_model(tokenizer=TOKENIZER, seed=0, positions=256)
    loss = teach_form(model=model, tokenizer=TOKENIZER, prompts=PROMPTS, answers=ANSWERS)
    # A model that knows nothing has log(vocabulary) = 5.6 to 6.9 nats.
    assert loss < math.log(len(TOKENIZER)) / 2


def test_the_same_rows_make_the_same_model(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 3)
    rows = tmp_path / "rows.parquet"
    pd.DataFrame(
        {
            "prompt": [[{"role": "user", "content": prompt}] for prompt in PROMPTS],
            "reward_model": [{"style": "rule", "ground_truth": answer} for answer in ANSWERS],
        }
    ).to_parquet(rows)
    for name in ("first", "second"):
        main(rows, tmp_path / name)
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second"))
    assert first == second
