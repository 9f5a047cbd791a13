"""Sets of real numbers, as intervals, unions, inequalities and finite sets write them, in one form to compare."""

import functools
import math
from fractions import Fraction
from typing import Any

import mpmath

from sweep.tasks.maths.answers.arithmetic import NoNumberError, as_real, magnitude
from sweep.tasks.maths.answers.expressions import same_value
from sweep.tasks.maths.answers.numerals import Tree
from sweep.tasks.maths.answers.values import FINE, Evaluator, symbols

_INFINITY = ("const", "inf")
End = tuple[Any, Tree]
"""A value, or minus or plus infinity, beside what it was written as."""
Segment = tuple[End, bool, End, bool]
"""Lower end, whether it belongs, upper end, whether it belongs."""
RealSet = tuple[Segment, ...]
"""Segments in ascending order that do not touch."""

_LOWEST: End = (-math.inf, ("neg", _INFINITY))
_HIGHEST: End = (math.inf, _INFINITY)
_INFINITE = (-math.inf, math.inf)
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "="}


class NoSetError(Exception):
    """The tree is no set of real numbers, or its ends are no numbers."""


def real_set(tree: Tree, *, name: str | None = None) -> RealSet:
    """The set that a tree describes, given that its symbol, if it has one, is ``name``; `NoSetError` otherwise."""
    kind = tree[0]
    if kind == "special" and tree[1] in ("reals", "empty"):
        return ((_LOWEST, False, _HIGHEST, False),) if tree[1] == "reals" else ()
    if kind == "seq" and tree[1] in "([" and len(tree) == 5:
        return _joined([(_end(tree[3]), tree[1] == "[", _end(tree[4]), tree[2] == "]")])
    if kind == "seq" and tree[1] == "{":
        return _joined([_point(_end(item)) for item in tree[3:]])
    if kind == "union":
        return _joined([*real_set(tree[1], name=name), *real_set(tree[2], name=name)])
    if kind == "meet":
        return _meet(real_set(tree[1], name=name), real_set(tree[2], name=name))
    if kind == "minus":
        return _meet(real_set(tree[1], name=name), _complement(real_set(tree[2], name=name)))
    if kind == "relation":
        return _of_relation(tree, name)
    if kind == "list" and tree[1] in ("or", "and") and all(item[0] == "relation" for item in tree[2:]):
        parts = [real_set(item, name=name) for item in tree[2:]]
        if tree[1] == "or":
            return _joined([segment for part in parts for segment in part])
        return functools.reduce(_meet, parts)
    raise NoSetError(kind)


def variable(tree: Tree) -> str | None:
    """The symbol whose values inequalities describe, None where there is none or there are several."""
    if tree[0] == "relation":
        names = [side[1] for side in tree[1::2] if side[0] == "sym"]
        return names[0] if len(names) == 1 else None
    if tree[0] in ("union", "meet", "minus", "list"):
        names = [name for part in tree[1:] if isinstance(part, tuple) and (name := variable(part)) is not None]
        return names[0] if names and len(set(names)) == 1 else None
    return None


def same_set(one: RealSet, other: RealSet) -> bool:
    """Whether two sets have the same numbers."""
    return len(one) == len(other) and all(
        left[1] == right[1] and left[3] == right[3] and _same_end(left[0], right[0]) and _same_end(left[2], right[2])
        for left, right in zip(one, other, strict=True)
    )


def _same_end(one: End, other: End) -> bool:
    """Whether two ends are the same number; a decimal may stand for it, as for any number."""
    return _compare(one, other) == 0 or same_value(one[1], other[1])


def _of_relation(tree: Tree, name: str | None) -> RealSet:
    sides, operators = list(tree[1::2]), list(tree[2::2])
    if name is None or sum(side == ("sym", name) for side in sides) != 1:
        raise NoSetError("not one symbol alone")
    at = sides.index(("sym", name))
    if operators == ["in"] and at == 0:
        return real_set(sides[1])
    if "in" in operators or "~" in operators or len(operators) > 2 or (len(operators) == 2 and at != 1):
        raise NoSetError("not a range")
    if (
        len(operators) == 2
        and not all(set(operators) <= allowed for allowed in ({"<", "<="},))
        and not set(operators) <= {">", ">="}
    ):
        raise NoSetError("two directions")
    result: RealSet = ((_LOWEST, False, _HIGHEST, False),)
    if at > 0:
        result = _meet(result, _half_line(_MIRRORED[operators[at - 1]], _end(sides[at - 1])))
    if at < len(operators):
        result = _meet(result, _half_line(operators[at], _end(sides[at + 1])))
    return result


def _half_line(operator: str, end: End) -> RealSet:
    if operator == "!=":
        return _complement((_point(end),))
    if operator == "=":
        return (_point(end),)
    closed = operator in ("<=", ">=") and end not in (_LOWEST, _HIGHEST)
    if operator in ("<", "<="):
        return ((_LOWEST, False, end, closed),)
    return ((end, closed, _HIGHEST, False),)


def _end(tree: Tree) -> End:
    if tree == _INFINITY:
        return _HIGHEST
    if tree[0] == "neg" and tree[1] == _INFINITY:
        return _LOWEST
    if symbols(tree):
        raise NoSetError("an end with a symbol")
    try:
        with mpmath.workprec(FINE):
            value = Evaluator()(tree)
    except NoNumberError as error:
        raise NoSetError(str(error)) from None
    if isinstance(value, mpmath.mpc):
        raise NoSetError("a complex end")
    return value, tree


def _point(value: End) -> Segment:
    return (value, True, value, True)


def _compare(one: End, other: End) -> int:
    """Which end is greater: 1 the first, -1 the second, 0 neither."""
    left, right = one[0], other[0]
    exact = isinstance(left, Fraction) and isinstance(right, Fraction)
    if exact or left in _INFINITE or right in _INFINITE:
        return int(left > right) - int(left < right)
    with mpmath.workprec(FINE):
        left, right = as_real(left), as_real(right)
        difference = left - right
        if difference == 0 or magnitude(difference) < magnitude(max(abs(left), abs(right))) - FINE // 2:
            return 0
        return 1 if difference > 0 else -1


def _order(one: Segment, other: Segment) -> int:
    """Which segment begins later; one that has its lower end begins before one that has not."""
    return _compare(one[0], other[0]) or int(other[1]) - int(one[1])


def _joined(segments: list[Segment]) -> RealSet:
    """The union of segments; empty ones go."""
    known: list[Segment] = []
    for low, low_in, high, high_in in segments:
        order = _compare(low, high)
        if order > 0:
            raise NoSetError("ends in the wrong order")
        if order < 0 or (low_in and high_in):
            known.append((low, low_in and low != _LOWEST, high, high_in and high != _HIGHEST))
        elif order == 0:
            raise NoSetError("an interval of no length")
    known.sort(key=functools.cmp_to_key(_order))
    result: list[Segment] = []
    for segment in known:
        if result:
            low, low_in, high, high_in = result[-1]
            order = _compare(segment[0], high)
            if order < 0 or (order == 0 and (segment[1] or high_in)):
                further = _compare(segment[2], high)
                if further > 0:
                    result[-1] = (low, low_in, segment[2], segment[3])
                elif further == 0:
                    result[-1] = (low, low_in, high, high_in or segment[3])
                continue
        result.append(segment)
    return tuple(result)


def _complement(segments: RealSet) -> RealSet:
    result: list[Segment] = []
    low, low_in = _LOWEST, False
    for start, start_in, end, end_in in segments:
        if _compare(low, start) < 0 or (low_in and not start_in and start != _LOWEST):
            result.append((low, low_in, start, not start_in and start != _LOWEST))
        low, low_in = end, not end_in
    if low != _HIGHEST:
        result.append((low, low_in, _HIGHEST, False))
    return tuple(result)


def _meet(one: RealSet, other: RealSet) -> RealSet:
    result: list[Segment] = []
    for left in one:
        for right in other:
            order = _compare(left[0], right[0])
            low, low_in = (left[0], left[1]) if order > 0 else (right[0], right[1] and (order < 0 or left[1]))
            order = _compare(left[2], right[2])
            high, high_in = (left[2], left[3]) if order < 0 else (right[2], right[3] and (order > 0 or left[3]))
            order = _compare(low, high)
            if order < 0 or (order == 0 and low_in and high_in):
                result.append((low, low_in, high, high_in))
    return _joined(result)
