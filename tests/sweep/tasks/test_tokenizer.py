import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from sweep.tasks.arithmetic.model import build_model
from sweep.tasks.arithmetic.problems import held_out_problems
from sweep.tasks.arithmetic.tokenizer import ASSISTANT, CHARACTERS, EOS, USER, build_tokenizer, encode_prompt


@pytest.fixture(scope="module", params=["built", "saved"])
def tokenizer(request, tmp_path_factory):
    tokenizer = build_tokenizer()
    if request.param == "built":
        return tokenizer
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


@given(text=st.text(alphabet=CHARACTERS, max_size=60))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_decoding_undoes_encoding_one_token_a_character(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False)
    specials = sum(text.count(token) for token in tokenizer.all_special_tokens)
    if not specials:
        assert len(ids) == len(text)
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_solutions_survive_decoding(tokenizer):
    for problem in held_out_problems():
        ids = [*tokenizer.encode(problem.solution, add_special_tokens=False), tokenizer.eos_token_id]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == problem.solution


def test_chat_template_marks_roles_and_ends_the_answer(tokenizer):
    question = {"role": "user", "content": "12*3=?"}
    answer = {"role": "assistant", "content": "#### 36"}
    prompt = tokenizer.apply_chat_template([question], add_generation_prompt=True, tokenize=False)
    assert prompt == f"{USER}12*3=?{ASSISTANT}"
    whole = tokenizer.apply_chat_template([question, answer], tokenize=False)
    assert whole == f"{USER}12*3=?{ASSISTANT}#### 36{EOS}"
    ids = encode_prompt(tokenizer, "12*3=?")
    assert ids[0] == tokenizer.convert_tokens_to_ids(USER)
    assert ids[-1] == tokenizer.convert_tokens_to_ids(ASSISTANT)
    assert len(ids) == len("12*3=?") + 2


def test_unknown_characters_are_one_unknown_token_each(tokenizer):
    assert tokenizer.encode("é7", add_special_tokens=False) == [
        tokenizer.unk_token_id,
        tokenizer.convert_tokens_to_ids("7"),
    ]


def test_model_has_about_a_million_parameters_and_the_tokenizers_vocabulary(tokenizer):
    model = build_model(tokenizer=tokenizer, seed=0)
    assert model.config.vocab_size == len(tokenizer) == model.get_output_embeddings().weight.shape[0]
    assert 500_000 <= model.num_parameters() <= 2_000_000
    assert {str(parameter.dtype) for parameter in model.parameters()} == {"torch.float32"}
