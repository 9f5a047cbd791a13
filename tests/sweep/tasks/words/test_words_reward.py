"""The last number of a response decides."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.tasks.words.reward import compute_score, last_number

WITHOUT_NUMBERS = st.text(st.characters(exclude_categories=["N"], exclude_characters=",.-"), max_size=40)
MOST = 32


@given(
    before=st.lists(st.integers(0, 10**9)),
    number=st.integers(0, 10**9),
    between=WITHOUT_NUMBERS,
    after=WITHOUT_NUMBERS,
    commas=st.booleans(),
)
@settings(deadline=None)
def test_the_last_number_is_the_answer_whatever_stands_around_it(before, number, between, after, commas):
    earlier = "".join(f"{one} {between} " for one in before)
    response = f"{earlier}{number:,}{after}" if commas else f"{earlier}{number}{after}"
    assert last_number(response) == str(number)
    assert compute_score("numerals", response, str(number))["score"] == 1.0
    assert compute_score("numerals", response, str(number + 1))["score"] == 0.0


@given(response=st.text())
@settings(deadline=None)
def test_any_response_is_scored_with_the_same_keys_as_any_other(response):
    result = compute_score("numerals", response, "7", {"problem_id": "n7", "response_tokens": 3, "truncated": False})
    assert set(result) == {"score", "parsed", "answer", "benchmark", "problem_id", "tokens", "truncated"}
    assert result["score"] in (0.0, 1.0)
    assert result["parsed"] == bool(result["answer"])
    assert set(result["answer"]) <= set("-.0123456789")


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Seven times eight is 56.", "56"),
        ("7 x 8 = 56, and 56 is even", "56"),
        ("12-5=7-4", "4"),
        ("the result is -4", "-4"),
        ("1,204 - 4 = 1,200", "1200"),
        ("1,2,3", "3"),
        ("1234,567", "567"),
        ("56.0", "56.0"),
        ("3.5", "3.5"),
        ("Version 1.2.3", "3"),
        ("fifty-six", ""),
        ("٥٦ and ５６", ""),
        ("", ""),
        ("9" * 40, "9" * MOST),
    ],
)
def test_what_is_read_as_a_number(response, answer):
    assert last_number(response) == answer


@pytest.mark.parametrize(("response", "score"), [("It is 56.0", 1.0), ("It is 5.6", 0.0), ("-56", 0.0), ("056", 1.0)])
def test_values_are_compared_and_not_spellings(response, score):
    assert compute_score("times-tables", response, "56")["score"] == score


def test_a_response_of_megabytes_is_read_from_its_end():
    assert last_number("1" * 5_000_000 + " is 56") == "56"
    assert last_number("56" + " " * 5000) == ""


def test_what_is_not_text_is_no_answer():
    result = compute_score(None, None, "7", None)  # type: ignore[arg-type]
    assert (result["score"], result["parsed"], result["benchmark"], result["problem_id"]) == (0.0, False, "", "")
