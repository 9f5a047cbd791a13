"""maj@k: the chance that the answer given most often by k samples is right, exactly and for every k at once."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import comb

import numpy as np
import numpy.typing as npt


def majority_at_every_k(*, right: Sequence[int], wrong: Sequence[int], silent: int = 0) -> npt.NDArray[np.float64]:
    r"""maj@1 ... maj@n of one problem: k of its n samples drawn without replacement vote for their answers.

    The answer with most votes wins; of several with equally many, one by lot. A sample without an answer does not vote,
    and where none votes nothing is right. The expectation over all :math:`\binom nk` draws, exactly: an answer that c
    samples gave wins with t votes in the draws whose other answers have at most t, so with s other answers tied,

    .. math:: \binom ct \sum_{s \ge 0} \frac{1}{s+1}\,[x^{k-t} y^s]\; (1+x)^{u}
       \prod_{c'} \Bigl(\sum_{j<t} \binom{c'}{j} x^j + \binom{c'}{t} x^t y\Bigr)

    draws, over the other answers' counts c' and the u samples without one. Counted in whole numbers and divided once.

    Args:
        right: How many samples gave each right answer; all right answers are usually one class.
        wrong: How many samples gave each wrong answer.
        silent: How many gave none.

    Returns:
        (n,), float64; entry k - 1 holds maj@k. maj@1 is the share of right samples.

    Raises:
        ValueError: A count below 0 (``silent``) or below 1 (the others), or no sample at all.

    >>> majority_at_every_k(right=[2], wrong=[1])
    array([0.66666667, 0.66666667, 1.        ])
    """
    if min([*right, *wrong], default=1) < 1 or silent < 0 or sum(right) + sum(wrong) + silent < 1:
        raise ValueError(f"no votes to count: right {list(right)}, wrong {list(wrong)}, silent {silent}")
    return np.array(_shares(tuple(sorted(right)), tuple(sorted(wrong)), silent))


def equivalence_classes(answers: Sequence[str], *, same: Callable[[str, str], bool]) -> list[int]:
    """The class of each answer, numbered by first appearance; every new one is compared with each class's first.

    Args:
        answers: Answers, "" for a sample without one, which gets -1.
        same: Whether two different texts mean the same; asked as ``same(new, first)``.

    >>> equivalence_classes(["1/2", "0.5", "", "2"], same=lambda a, b: eval(a) == eval(b))
    [0, 0, -1, 1]
    """
    firsts: list[str] = []
    known: dict[str, int] = {"": -1}
    for answer in answers:
        if answer not in known:
            known[answer] = next((place for place, first in enumerate(firsts) if same(answer, first)), len(firsts))
            if known[answer] == len(firsts):
                firsts.append(answer)
    return [known[answer] for answer in answers]


@lru_cache(maxsize=4096)
def _shares(right: tuple[int, ...], wrong: tuple[int, ...], silent: int) -> tuple[float, ...]:
    """See `majority_at_every_k`; problems of a benchmark share their counts, and so the work."""
    samples = sum(right) + sum(wrong) + silent
    # Winning draws by size, each times the least common multiple of possible divisors, so that they stay whole.
    shares = [0.0] * samples
    for place, count in enumerate(right):
        others = [*right[:place], *right[place + 1 :], *wrong]
        for votes in range(1, count + 1):
            ways = comb(count, votes)
            for tied, sizes in enumerate(_draws(others, silent, votes, samples - votes)):
                for size, draws in enumerate(sizes):
                    if draws:
                        drawn = votes + size
                        # Whole numbers divided by whole numbers: correctly rounded however large both are.
                        shares[drawn - 1] += (ways * draws) / ((tied + 1) * comb(samples, drawn))
    return tuple(shares)


def _draws(others: Sequence[int], silent: int, votes: int, largest: int) -> list[list[int]]:
    """``[tied][size]``: draws of ``size`` from the others with none above ``votes`` and so many at it."""
    table = [[comb(silent, size) for size in range(largest + 1)]]
    for count in others:
        ties = count >= votes
        fresh = [[0] * (largest + 1) for _ in range(len(table) + ties)]
        for tied, sizes in enumerate(table):
            for size, draws in enumerate(sizes):
                if draws:
                    for own in range(min(count, votes, largest - size) + 1):
                        fresh[tied + (own == votes)][size + own] += draws * comb(count, own)
        table = fresh
    return table
