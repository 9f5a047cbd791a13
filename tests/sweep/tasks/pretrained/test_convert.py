"""What becomes of a GGUF file: the same weights in float32, and a tokenizer that ends answers where the file says."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sweep.tasks.pretrained.convert import convert
from tests.sweep.tasks.packaged_model import HEAD, HEADS, LAYERS, TEMPLATE, WIDTH, write_gguf

_NAMES = {
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    weights = write_gguf(folder / "small.gguf")
    convert(file=folder / "small.gguf", folder=folder / "model")
    return folder / "model", weights


def test_the_weights_are_those_of_the_file_in_float32(converted):
    folder, weights = converted
    state = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    for layer in range(LAYERS):
        for theirs, ours in _NAMES.items():
            found = state[f"model.layers.{layer}.{ours}.weight"].numpy()
            np.testing.assert_array_equal(found, weights[f"blk.{layer}.{theirs}.weight"])
        # llama.cpp keeps the two halves of a head that turn together side by side, transformers one after the other.
        for theirs, ours in (("attn_q", "q_proj"), ("attn_k", "k_proj")):
            turned = weights[f"blk.{layer}.{theirs}.weight"].reshape(HEADS, HEAD // 2, 2, WIDTH).swapaxes(1, 2)
            found = state[f"model.layers.{layer}.self_attn.{ours}.weight"].numpy()
            np.testing.assert_array_equal(found, turned.reshape(WIDTH, WIDTH))
    np.testing.assert_array_equal(state["model.embed_tokens.weight"].numpy(), weights["token_embd.weight"])
    np.testing.assert_array_equal(state["lm_head.weight"].numpy(), weights["token_embd.weight"])
    np.testing.assert_array_equal(state["model.norm.weight"].numpy(), weights["output_norm.weight"])


def test_an_answer_ends_where_the_file_says(converted):
    folder, _ = converted
    tokenizer = AutoTokenizer.from_pretrained(folder)
    special = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id)
    assert special == (1, 2, 0, 2)
    assert tokenizer.eos_token == "<|im_end|>"
    for file in ("config.json", "generation_config.json"):
        known = json.loads((folder / file).read_text())
        assert [known[f"{name}_token_id"] for name in ("bos", "eos", "pad")] == [1, 2, 2]


def test_text_comes_back_and_prompts_are_those_of_the_file(converted):
    folder, _ = converted
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == TEMPLATE
    for text in ("one one 12 , 7 . it 's", "déjà vu − 3\n"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("one one 12")) == ["one", "Ġone", "Ġ", "1", "2"]
    asked = tokenizer.apply_chat_template([{"role": "user", "content": "one"}], add_generation_prompt=True)
    ids = asked if isinstance(asked, list) else asked["input_ids"]
    assert (ids[0], ids.count(1), ids.count(2)) == (1, 2, 1)


def test_a_model_with_more_tokens_than_its_tokenizer_is_refused(tmp_path):
    write_gguf(tmp_path / "small.gguf", extra_tokens=32)
    with pytest.raises(ValueError, match="the model has 294 tokens, its tokenizer 262"):
        convert(file=tmp_path / "small.gguf", folder=tmp_path / "model")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    write_gguf(tmp_path / "small.gguf", poison=value)
    with pytest.raises(ValueError, match=r"model\.norm\.weight has weights that are not finite"):
        convert(file=tmp_path / "small.gguf", folder=tmp_path / "model")
