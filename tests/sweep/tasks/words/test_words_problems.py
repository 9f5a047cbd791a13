"""The problems in words: what is asked, what is right, and what is held out."""

import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.tasks.words.problems import (
    BENCHMARKS,
    HELD_OUT_NUMERALS,
    NUMERALS,
    TIMES_TABLES,
    held_out_problems,
    in_words,
    numeral,
    product,
    training_problems,
)

_VALUES = {
    **{"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10},
    **{"eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17},
    **{"eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60},
    **{"seventy": 70, "eighty": 80, "ninety": 90},
}


def value(words: str) -> int:
    """Read a numeral, by the sum of its parts."""
    hundreds, _, rest = words.rpartition(" hundred") if " hundred" in words else ("", "", words)
    return 100 * _VALUES.get(hundreds, 0) + sum(_VALUES[word] for word in re.split("[ -]", rest) if word in _VALUES)


def test_every_numeral_says_its_number_and_no_other():
    words = [in_words(number) for number in range(1, 1000)]
    assert [value(one) for one in words] == list(range(1, 1000))
    assert len(set(words)) == 999
    assert in_words(0) == "zero"


@given(first=st.integers(1, 12), second=st.integers(1, 12))
@settings(deadline=None)
def test_a_times_table_asks_for_the_product_of_what_it_names(first, second):
    asked = re.fullmatch(r"What is ([a-z]+) times ([a-z]+)\?", product(first, second).question)
    assert asked is not None
    assert str(value(asked[1]) * value(asked[2])) == product(first, second).answer


@given(number=st.integers(1, 999))
@settings(deadline=None)
def test_a_numeral_is_asked_in_words_alone(number):
    asked = re.fullmatch("Write ([a-z -]+) in digits.", numeral(number).question)
    assert asked is not None
    assert (value(asked[1]), numeral(number).answer) == (number, str(number))


def test_the_held_out_problems_never_change():
    found = held_out_problems()
    assert tuple(found) == BENCHMARKS
    assert (len(found[TIMES_TABLES]), len(found[NUMERALS])) == (33, HELD_OUT_NUMERALS)
    for problems in found.values():
        assert len({problem.problem_id for problem in problems}) == len(problems)
    assert [found[name][0].problem_id for name in BENCHMARKS] == ["6x2", "n24"]
    assert [found[name][-1].problem_id for name in BENCHMARKS] == ["11x12", "n495"]


@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_training_asks_nothing_that_is_held_out_and_both_kinds_equally(seed):
    found = held_out_problems()
    factors = {frozenset(problem.problem_id.split("x")) for problem in found[TIMES_TABLES]}
    numbers = {problem.problem_id for problem in found[NUMERALS]}
    asked = list(itertools.islice(training_problems(seed=seed), 400))
    assert [problem.benchmark for problem in asked] == [TIMES_TABLES, NUMERALS] * 200
    assert not factors & {frozenset(one.problem_id.split("x")) for one in asked if one.benchmark == TIMES_TABLES}
    assert not numbers & {one.problem_id for one in asked}
    assert len({one.problem_id for one in asked}) > 150


def test_the_seed_alone_chooses_the_trainings_problems():
    first, again, other = (list(itertools.islice(training_problems(seed=seed), 50)) for seed in (1, 1, 2))
    assert first == again != other


def test_a_prompt_has_two_answered_questions_of_its_kind_that_are_never_asked():
    for benchmark, problems in held_out_problems().items():
        asked = {problem.question for problem in problems}
        asked |= {problem.question for problem in itertools.islice(training_problems(seed=0), 4000)}
        for problem in problems:
            assert [turn["role"] for turn in problem.prompt] == ["user", "assistant"] * 2 + ["user"]
            assert problem.prompt[-1]["content"] == problem.question
        examples = problems[0].prompt[:-1]
        assert not asked & {turn["content"] for turn in examples}
        for question, answer in zip(examples[::2], examples[1::2], strict=True):
            number = answer["content"].rstrip(".").rsplit(" ", 1)[1]
            if benchmark == TIMES_TABLES:
                words = re.findall("(?:is|times) ([a-z]+)", question["content"])
                assert int(number) == value(words[0]) * value(words[1])
            else:
                assert int(number) == value(question["content"].removeprefix("Write ").removesuffix(" in digits."))
