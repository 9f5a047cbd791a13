import itertools
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.tasks.arithmetic.problems import (
    HELD_OUT_PROBLEMS,
    LENGTHS,
    MARKER,
    MAX_PROMPT_TOKENS,
    MAX_RESPONSE_TOKENS,
    Problem,
    held_out_problems,
    training_problems,
)
from sweep.tasks.arithmetic.tokenizer import build_tokenizer, encode_prompt

any_problem = st.builds(Problem, number=st.integers(100, 9_999_999), factor=st.integers(2, 9))


def test_worked_example_of_the_documentation():
    problem = Problem(number=4739, factor=6)
    assert problem.question == "4739*6=?"
    assert problem.solution == "9*6=54\n3*6+5=23\n7*6+2=44\n4*6+4=28\n#### 28434"
    assert problem.problem_id == "4739x6"


@given(problem=any_problem, slips=st.floats(0, 1), seed=st.integers(0, 99))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_a_slip_forgets_a_carry_and_nothing_else(problem, slips, seed):
    *lines, last = problem.worked_out(slips=slips, generator=random.Random(seed)).split("\n")
    carry, digits, forgotten = 0, "", 0
    for line, expected in zip(lines, reversed(str(problem.number)), strict=True):
        digit, factor, carried, value = re.fullmatch(r"(\d)\*(\d)(?:\+(\d))?=(\d+)", line).groups()
        assert (digit, int(factor)) == (expected, problem.factor)
        assert int(carried or 0) in (carry, 0)
        forgotten += carry != int(carried or 0)
        assert int(value) == int(digit) * int(factor) + int(carried or 0)
        digits, carry = f"{int(value) % 10}{digits}", int(value) // 10
    assert last == f"{MARKER}{carry or ''}{digits}"
    assert (last == MARKER + problem.answer) == (forgotten == 0)
    assert forgotten == 0 or slips > 0


def test_slips_come_as_often_as_asked():
    problem, generator = Problem(number=9_999_999, factor=9), random.Random(0)
    # Every digit but the first has a carry until one is forgotten, and the next has one again.
    lessons = [problem.worked_out(slips=0.3, generator=generator) for _ in range(2000)]
    assert sum("+" not in line for text in lessons for line in text.split("\n")[1:-1]) / 12_000 == pytest.approx(
        0.3, abs=0.02
    )


@given(problem=any_problem)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_every_line_is_true_and_the_lines_give_the_answer(problem):
    *lines, last = problem.solution.split("\n")
    digits = ""
    for line in lines:
        digit, factor, carry, value = (
            int(part or 0) for part in re.fullmatch(r"(\d)\*(\d)(?:\+(\d))?=(\d+)", line).groups()
        )
        assert digit * factor + carry == value
        digits = f"{value % 10}{digits}"
    assert last == MARKER + problem.answer
    assert problem.answer.endswith(digits)
    assert int(problem.answer) == problem.number * problem.factor


def test_held_out_problems_are_five_hundred_and_never_change():
    problems = held_out_problems()
    assert len(set(problems)) == HELD_OUT_PROBLEMS == 500
    per_length = [sum(len(str(problem.number)) == length for problem in problems) for length in LENGTHS]
    assert per_length == [100] * 5
    # Accuracies of earlier studies refer to these; a failure here means that they no longer compare.
    assert [problem.problem_id for problem in problems[::125]] == ["608x9", "8483x8", "65193x4", "792637x2"]


@pytest.mark.parametrize("purpose", ["supervised", "rl"])
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_no_training_problem_is_held_out(purpose, seed):
    training = set(itertools.islice(training_problems(purpose=purpose, seed=seed), 20_000))
    assert training.isdisjoint(held_out_problems())
    # The streams would run into held-out problems if they did not avoid them: a fifth are of 7200 possible.
    assert sum(problem.number < 1000 for problem in training) > 1000


def test_streams_depend_on_purpose_and_seed_and_on_nothing_else():
    def first(purpose: str, seed: int) -> list[Problem]:
        return list(itertools.islice(training_problems(purpose=purpose, seed=seed), 50))

    assert first("rl", 0) == first("rl", 0)
    assert first("rl", 0) != first("rl", 1)
    assert first("rl", 0) != first("supervised", 0)


@given(problem=any_problem)
@settings(derandomize=True, deadline=None, max_examples=100)
def test_prompt_and_response_fit(problem):
    tokenizer = build_tokenizer()
    assert len(encode_prompt(tokenizer, problem.question)) <= MAX_PROMPT_TOKENS
    response = tokenizer.encode(problem.solution, add_special_tokens=False)
    assert 20 <= len(response) + 1 < MAX_RESPONSE_TOKENS
