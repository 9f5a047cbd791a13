"""Long responses: several problems in one prompt, each named by a letter, each worked out in turn.

    x473*6y812*3=?      x473*6:3*6=18
                        7*6+1=43
                        4*6+4=28
                        #### 2838
                        y812*3:2*3=6
                        ...

KPO's gain needs about 1/gain tokens to reach its steady state, and the published float32 filter leaves the exact one
after some 700 tokens: neither can be seen in responses of 50. The letter says which problem is next, so a small model
that can do one can soon do twenty; which letter is the first depends on the first problem, so that short series teach
all of them. A series is right if there are as many answers as problems and at least half of them are right: a model
that is right about every second problem, as the one that is taught, would never get all of twenty right.
"""

import hashlib
import itertools
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass

from sweep.tasks.arithmetic.problems import HELD_OUT_SEED, LENGTHS, Problem, draw

DATA_SOURCE = "arithmetic-series"
HELD_OUT_SERIES = 128
LONGEST = len(string.ascii_lowercase)


@dataclass(frozen=True)
class Series:
    """Up to 26 problems that are asked together."""

    problems: tuple[Problem, ...]

    @property
    def problem_id(self) -> str:
        """Stable and short: the first problem, how many follow, and a checksum of all."""
        every = ",".join(problem.problem_id for problem in self.problems)
        checksum = hashlib.blake2b(every.encode(), digest_size=4).hexdigest()
        return f"{self.problems[0].problem_id}+{len(self.problems) - 1}-{checksum}"

    @property
    def question(self) -> str:
        """What the user asks."""
        return "".join(self._named()) + "=?"

    @property
    def answer(self) -> str:
        """All products in decimal, in order, with a space between."""
        return " ".join(problem.answer for problem in self.problems)

    @property
    def solution(self) -> str:
        """Each problem again, then its worked solution."""
        return self.worked_out(slips=0.0, generator=random.Random())

    def worked_out(self, *, slips: float, generator: random.Random) -> str:
        """The same with forgotten carries, see `Problem.worked_out`."""
        worked = (problem.worked_out(slips=slips, generator=generator) for problem in self.problems)
        return "\n".join(f"{name}:{lines}" for name, lines in zip(self._named(), worked, strict=True))

    def _named(self) -> list[str]:
        first = self.problems[0].number % (LONGEST - len(self.problems) + 1)
        letters = zip(string.ascii_lowercase[first:], self.problems, strict=False)
        return [f"{letter}{problem.number}*{problem.factor}" for letter, problem in letters]


def in_series(problems: Iterator[Problem], *, length: int) -> Iterator[Series]:
    """The problems in groups of ``length``."""
    while True:
        yield Series(tuple(itertools.islice(problems, length)))


def held_out_series(*, length: int) -> list[Series]:
    """The evaluation's series of one length, the same for ever; held out as a whole, not each of their problems."""
    generator = random.Random(f"{HELD_OUT_SEED} {length}")
    problems = (draw(generator, generator.choice(LENGTHS)) for _ in itertools.count())
    return list(itertools.islice(in_series(problems, length=length), HELD_OUT_SERIES))
