"""Pairs of answers with known verdicts: one value in two notations, or two values that look alike.

Strategies for hypothesis, by kind. `equal_pairs` draws a value and writes it twice; `near_misses` draws a value and
writes another one that a careless grader takes for it: a sign, a digit, an order, a bracket, a unit, a base.
"""

from collections.abc import Callable

from hypothesis import strategies as st

from benchmarks import grading_numbers, grading_structures, grading_words
from benchmarks.grading_notations import Draw

Pair = tuple[str, str, str]
"""Kind, right answer, answer."""


@st.composite
def equal_pairs(draw: Draw) -> Pair:
    """One value in two notations."""
    return _pair(draw, _EQUAL)


@st.composite
def near_misses(draw: Draw) -> Pair:
    """Two values that look alike."""
    return _pair(draw, _NEAR)


Kinds = dict[str, Callable[[Draw], tuple[str, str]]]


def _kinds(prefix: str) -> Kinds:
    """The functions whose names begin so, by the rest of their names."""
    modules = (grading_numbers, grading_structures, grading_words)
    named = [item for module in modules for item in vars(module).items()]
    return {name.removeprefix(prefix): function for name, function in named if name.startswith(prefix)}


_EQUAL, _NEAR = _kinds("_equal_"), _kinds("_near_")


def _pair(draw: Draw, kinds: Kinds) -> Pair:
    kind = str(draw(st.sampled_from(sorted(kinds))))
    return (kind, *kinds[kind](draw))
