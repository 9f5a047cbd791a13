"""The problems: times tables to twelve, and numerals to be written in digits.

    times-tables    What is seven times eight?                          Seven times eight is 56.
    numerals        Write four hundred and seventeen in digits.         Four hundred and seventeen is 417.

Each comes after two that are answered, since a model of 135 million parameters, sampled at temperature 1, otherwise
rambles; what it then gets right is in the notes of the profile ``smollm2-135m``. Half of the times tables and 100 of
the numerals are held out: the training never asks them, and no times table the other way round either.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

TIMES_TABLES, NUMERALS = "times-tables", "numerals"
BENCHMARKS = (TIMES_TABLES, NUMERALS)
HELD_OUT_NUMERALS = 100

# Held-out problems never change: accuracies of different seeds, studies and versions are then comparable.
_HELD_OUT_SEED = 20261126
_FACTORS = range(2, 13)
_NUMBERS = range(20, 500)
_EXAMPLES = {
    TIMES_TABLES: (
        ("What is one times three?", "One times three is 3."),
        ("What is one times twelve?", "One times twelve is 12."),
    ),
    NUMERALS: (
        ("Write fifteen in digits.", "Fifteen is 15."),
        ("Write six hundred and forty in digits.", "Six hundred and forty is 640."),
    ),
}
_SMALL = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


@dataclass(frozen=True)
class Problem:
    """One question with its answer in digits; ``problem_id`` is the same in every file that mentions the problem."""

    benchmark: str
    problem_id: str
    question: str
    answer: str

    @property
    def prompt(self) -> list[dict[str, str]]:
        """The conversation up to the question, as a chat template takes it."""
        said = itertools.chain.from_iterable(_EXAMPLES[self.benchmark])
        roles = itertools.cycle(("user", "assistant"))
        return [{"role": role, "content": text} for role, text in zip(roles, [*said, self.question], strict=False)]


def in_words(number: int) -> str:
    """A whole number from 0 to 999 in English.

    >>> in_words(7), in_words(42), in_words(300), in_words(417)
    ('seven', 'forty-two', 'three hundred', 'four hundred and seventeen')
    """
    if number < 20:
        return _SMALL[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (f"-{_SMALL[number % 10]}" if number % 10 else "")
    return f"{_SMALL[number // 100]} hundred" + (f" and {in_words(number % 100)}" if number % 100 else "")


def product(first: int, second: int) -> Problem:
    """A times table."""
    question = f"What is {in_words(first)} times {in_words(second)}?"
    return Problem(TIMES_TABLES, f"{first}x{second}", question, str(first * second))


def numeral(number: int) -> Problem:
    """A number to be written in digits."""
    return Problem(NUMERALS, f"n{number}", f"Write {in_words(number)} in digits.", str(number))


def held_out_problems() -> dict[str, list[Problem]]:
    """The evaluation's problems, the same for ever: 33 times tables, one order of each, and 100 numerals."""
    pairs, numbers = _held_out()
    return {TIMES_TABLES: [product(*pair) for pair in pairs], NUMERALS: [numeral(number) for number in numbers]}


def training_problems(*, seed: int) -> Iterator[Problem]:
    """Endless problems that are not held out, times tables and numerals by turns."""
    pairs, numbers = _held_out()
    excluded = {frozenset(pair) for pair in pairs}
    products = [pair for pair in itertools.product(_FACTORS, repeat=2) if frozenset(pair) not in excluded]
    numerals = sorted(set(_NUMBERS) - set(numbers))
    generator = random.Random(seed)
    while True:
        yield product(*generator.choice(products))
        yield numeral(generator.choice(numerals))


def _held_out() -> tuple[list[tuple[int, int]], list[int]]:
    """Pairs of factors, the first not always the smaller one, and numbers."""
    generator = random.Random(_HELD_OUT_SEED)
    pairs = list(itertools.combinations_with_replacement(_FACTORS, 2))
    chosen = sorted(generator.sample(pairs, len(pairs) // 2))
    turned = [pair if generator.random() < 0.5 else pair[::-1] for pair in chosen]
    return turned, sorted(generator.sample(_NUMBERS, HELD_OUT_NUMERALS))
