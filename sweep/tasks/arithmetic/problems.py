"""The problems: an integer of 3 to 7 digits times one digit, worked out digit by digit as at school.

    4739*6=?        9*6=54
                    3*6+5=23
                    7*6+2=44
                    4*6+4=28
                    #### 28434

Long multiplication was chosen because each line is a small table to learn (digit, factor, carry), so a minute or two of
teaching suffices, while a response is as long as its number: 30 to 75 tokens, and the filter's gain depends on length.

Lessons may slip: a carry is forgotten now and then, and what follows is consistent with that. A model that is taught by
them knows how it is done and does not always do it, which reinforcement can change within a few steps.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

DATA_SOURCE = "arithmetic"
"""The benchmark's name in verl's metrics and in MLflow."""

LENGTHS = (3, 4, 5, 6, 7)
"""Digits of the first number, each equally frequent."""

HELD_OUT_PROBLEMS = 500
MARKER = "#### "
# The longest prompt has 13 tokens, the longest solution 77 with its end. A training step computes on padded rows,
# so room beyond that costs time.
MAX_PROMPT_TOKENS = 16
MAX_RESPONSE_TOKENS = 80

# Held-out problems never change: accuracies of different seeds, studies and versions are then comparable.
HELD_OUT_SEED = 20260210


@dataclass(frozen=True, order=True)
class Problem:
    """``number * factor``, with 3 to 7 digits in ``number`` and 2 <= ``factor`` <= 9."""

    number: int
    factor: int

    @property
    def problem_id(self) -> str:
        """Stable name, the same in every file that mentions the problem."""
        return f"{self.number}x{self.factor}"

    @property
    def question(self) -> str:
        """What the user asks."""
        return f"{self.number}*{self.factor}=?"

    @property
    def answer(self) -> str:
        """The product in decimal."""
        return str(self.number * self.factor)

    @property
    def solution(self) -> str:
        """The worked response: one line for each digit, lowest first, then the marker and the answer."""
        return self.worked_out(slips=0.0, generator=random.Random())

    def worked_out(self, *, slips: float, generator: random.Random) -> str:
        """A worked response in which each carry is forgotten with the chance ``slips``."""
        lines, digits, carry = [], [], 0
        for digit in reversed(str(self.number)):
            if carry and generator.random() < slips:
                carry = 0
            value = int(digit) * self.factor + carry
            carried = f"+{carry}" if carry else ""
            lines.append(f"{digit}*{self.factor}{carried}={value}\n")
            digits.append(str(value % 10))
            carry = value // 10
        leading = [str(carry)] if carry else []
        return "".join([*lines, MARKER, *leading, *reversed(digits)])


def draw(generator: random.Random, length: int) -> Problem:
    """A problem whose number has ``length`` digits."""
    return Problem(number=generator.randrange(10 ** (length - 1), 10**length), factor=generator.randrange(2, 10))


@cache
def held_out_problems() -> tuple[Problem, ...]:
    """The 500 evaluation problems, equally many of each length, the same for ever."""
    generator = random.Random(HELD_OUT_SEED)
    problems: dict[Problem, None] = {}
    for length in LENGTHS:
        wanted = len(problems) + HELD_OUT_PROBLEMS // len(LENGTHS)
        while len(problems) < wanted:
            problems[draw(generator, length)] = None
    return tuple(problems)


def training_problems(*, purpose: str, seed: int) -> Iterator[Problem]:
    """Endless problems that are not held out; ``purpose`` ("supervised", "rl") and ``seed`` choose the stream."""
    generator = random.Random(hashlib.sha256(f"{purpose} {seed}".encode()).digest())
    excluded = frozenset(held_out_problems())
    while True:
        problem = draw(generator, generator.choice(LENGTHS))
        if problem not in excluded:
            yield problem
