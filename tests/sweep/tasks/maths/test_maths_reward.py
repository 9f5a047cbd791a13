import asyncio
import json

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.utils.import_utils import load_extern_object

from sweep.store.trial_tables import accuracy, read_samples
from sweep.tasks.arithmetic.tokenizer import build_tokenizer
from sweep.tasks.maths import reward
from sweep.tasks.maths.reward import compute_score

KEYS = {"score", "parsed", "answer", "outcome", "benchmark", "problem_id", "subject", "level"}
ENDLESS = r"\boxed{\sum_{a=1}^{2000} \sum_{b=1}^{2000} \sin(a+b^3)}"
VERLS_OWN_COLUMNS = {"input", "output", "gts", "step", "uid", "reward"}

hostile = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.integers())


@given(
    data_source=hostile,
    response=hostile | st.text(alphabet="\\boxed{}0123456789^ \x00", max_size=60),
    truth=hostile,
    extra_info=hostile | st.dictionaries(st.sampled_from(["problem_id", "level"]), hostile),
)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_any_input_gives_the_same_keys_and_plain_types(data_source, response, truth, extra_info):
    result = compute_score(data_source, response, truth, extra_info, unknown=1)
    assert set(result) == KEYS
    assert {key: type(value) for key, value in result.items()} == {key: str for key in KEYS} | {
        "score": float,
        "parsed": bool,
    }
    json.dumps(result)


def test_what_the_agent_loop_knows_is_passed_on():
    extra = {"problem_id": "a/1", "subject": "Algebra", "level": "5", "response_tokens": 7, "truncated": True}
    result = compute_score("math-500", r"\boxed{0.5}", r"\frac12", extra)
    assert result == {
        "score": 1.0,
        "parsed": True,
        "answer": "0.5",
        "outcome": "graded",
        "benchmark": "math-500",
        "problem_id": "a/1",
        "subject": "Algebra",
        "level": "5",
        "tokens": 7,
        "truncated": True,
    }
    assert not VERLS_OWN_COLUMNS & set(result)


def test_matching_can_be_set_in_verls_configuration():
    assert compute_score("math-500", r"\boxed{0.5}", r"\frac12")["score"] == 1.0
    assert compute_score("math-500", r"\boxed{0.5}", r"\frac12", matching="exact")["score"] == 0.0


def test_verls_reward_manager_calls_it_from_many_threads():
    tokenizer = build_tokenizer()
    score = load_extern_object(module_path=reward.__file__, object_name="compute_score")

    # The arithmetic task's characters have no backslash: its decoder stands between the ids and the text.
    class Boxing:
        def decode(self, ids, skip_special_tokens):
            return f"so \\boxed{{{tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)}}}"

    def item(response: str, truth: str, identifier: str) -> DataProto:
        ids = torch.tensor([tokenizer.encode(response, add_special_tokens=False)])
        return DataProto(
            batch=TensorDict({"responses": ids, "attention_mask": torch.ones_like(ids)}, batch_size=1),
            non_tensor_batch={
                "data_source": np.array(["math-500"], dtype=object),
                "reward_model": np.array([{"ground_truth": truth, "style": "rule"}], dtype=object),
                "extra_info": np.array([{"problem_id": identifier, "level": "3"}], dtype=object),
                "tool_extra_fields": np.array([{"response_tokens": len(ids[0]), "truncated": False}], dtype=object),
            },
        )

    async def grade() -> list[dict]:
        manager = NaiveRewardManager(OmegaConf.create({}), Boxing(), score)
        answers = [("0.5", r"\frac{1}{2}"), ("3", "4"), ("9^(9^(9^9))", "5"), ("x+1", "1+x"), ("7", "07")] * 4
        return await asyncio.gather(
            *(manager.run_single(item(answer, truth, str(n))) for n, (answer, truth) in enumerate(answers))
        )

    results = asyncio.run(grade())
    assert [result["reward_score"] for result in results] == [1.0, 0.0, 0.0, 1.0, 1.0] * 4
    extra = [result["reward_extra_info"] for result in results]
    assert {one["tokens"] for one in extra} == {1, 3, 11}
    columns = {key: [one[key] for one in extra] for key in extra[0]}
    assert all(np.array(values).dtype != object for values in columns.values())
    metrics = process_validation_metrics(["math-500"] * 20, ["uid"] * 20, columns)["math-500"]
    assert metrics["score"]["mean@20"] == 0.6


def test_a_dump_of_verls_becomes_metrics_of_every_outcome(tmp_path):
    responses = [r"\boxed{1/2}", r"\boxed{2}", "none", ENDLESS]
    lines = []
    for number, response in enumerate(responses):
        extra = {"problem_id": "p", "subject": "Algebra", "level": "2", "response_tokens": 9, "truncated": number == 2}
        scored = compute_score("math-500", response, "0.5", extra)
        lines.append(json.dumps({"input": "?", "output": response, "gts": "0.5", "step": 1, **scored}))
    (tmp_path / "1.jsonl").write_text("\n".join(lines) + "\n")
    table = read_samples(tmp_path / "1.jsonl")
    assert list(table["outcome"]) == ["graded", "graded", "unparsed", "timed_out"]
    assert set(table["subject"]) == {"Algebra"}
    metrics = accuracy(table, k=4)
    assert metrics["eval/math-500/avg_at_4"] == 0.25
    assert metrics["eval/math-500/unparsed"] == 0.25
    assert metrics["eval/math-500/truncated"] == 0.25
    assert metrics["eval/math-500/timed_out"] == 1.0
    assert metrics["eval/math-500/crashed"] == 0.0
