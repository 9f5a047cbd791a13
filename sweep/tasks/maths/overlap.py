"""Whether evaluation problems stand in the training set: the same text, or long runs of the same words.

Texts are compared as sequences of words: Unicode-normalised (NFKC), case folded, punctuation and white space dropped.
Runs are of 13 words, as in Brown et al. 2020 (arXiv 2005.14165, appendix C); a shorter problem is compared whole.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sweep.tasks.maths.problems import Problem

RUN = 13
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Overlap:
    """How much of one evaluation problem stands in the training set.

    Attributes:
        identifier: The evaluation problem.
        same_text: Whether a training problem has the same words throughout.
        runs: Share of its runs of 13 words that stand somewhere in the training set, 0 to 1.
    """

    identifier: str
    same_text: bool
    runs: float


def words(text: str) -> tuple[str, ...]:
    """The words of a text as they are compared.

    >>> words("Find  the AREA of $ABC$.")
    ('find', 'the', 'area', 'of', 'abc')
    """
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def overlaps(
    *,
    training: Sequence[Problem],
    evaluation: Sequence[Problem],
    progress: Callable[[int, int], None] | None = None,
) -> list[Overlap]:
    """The evaluation problems of which anything stands in the training set, in their own order."""
    asked = [words(problem.text) for problem in evaluation]
    runs = [_runs(one) for one in asked]
    # The training set is the larger by far: it is gone through once, against what is looked for.
    wanted_texts, wanted_runs = set(asked), set().union(*runs)
    seen_texts: set[tuple[str, ...]] = set()
    seen_runs: set[tuple[str, ...]] = set()
    for number, problem in enumerate(training, start=1):
        text = words(problem.text)
        if text in wanted_texts:
            seen_texts.add(text)
        seen_runs |= wanted_runs & _runs(text)
        if progress is not None:
            progress(number, len(training))
    found = [
        Overlap(problem.identifier, text in seen_texts, len(own & seen_runs) / len(own) if own else 0.0)
        for problem, text, own in zip(evaluation, asked, runs, strict=True)
    ]
    return [one for one in found if one.same_text or one.runs > 0]


def _runs(text: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {text[start : start + RUN] for start in range(len(text) - RUN + 1)}
