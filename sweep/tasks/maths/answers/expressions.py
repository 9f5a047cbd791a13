r"""Whether two expressions have the same value, for every value of their symbols. Exact, and decimals are exact too.

A decimal is right for a number that has no finite decimal when it is that number rounded, or cut off, to six
significant digits or more. There is no other tolerance, and no absolute one: 5^{-30} is not 5^{-31}.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import mpmath

from sweep.tasks.maths.answers.arithmetic import TooLargeError, UndefinedError, magnitude
from sweep.tasks.maths.answers.numerals import Tree
from sweep.tasks.maths.answers.values import FINE, PRECISION, Evaluator, contains, symbols

FEWEST_DIGITS = 6
"""Significant digits that a decimal needs to stand for a number without a finite decimal: a relative 1e-5 at most."""
FLOAT_DIGITS, FLOAT_TOLERANCE = 15, Fraction(1, 10**12)
"""A decimal of so many digits is a computer's: right within this relative distance."""

_AGREE = -100
"""Relative difference, as a power of 2, above which two values at `PRECISION` differ for certain."""
_FEWEST_POINTS = 3
_POINTS = (
    (Fraction(731, 1009), Fraction(97, 1013)),
    (Fraction(2741, 1019), Fraction(613, 499)),
    (Fraction(-877, 1021), Fraction(311, 997)),
    (Fraction(17203, 991), Fraction(-2311, 983)),
    (Fraction(-5903, 1031), Fraction(-719, 977)),
    (Fraction(7), Fraction(4)),
    (Fraction(12), Fraction(-5)),
    (Fraction(5), Fraction(1)),
    (Fraction(1613, 1033), Fraction(1, 7919)),
)
"""First symbol's value and the step to the next one's: fractions of either sign, small and large, whole numbers."""


def same_value(one: Tree, other: Tree) -> bool:
    """Whether two expressions have the same value; `NoNumberError` or `TooLargeError` where that cannot be said."""
    infinite = [_infinity(tree) for tree in (one, other)]
    if any(infinite):
        return infinite[0] == infinite[1]
    names = sorted(symbols(one) | symbols(other))
    if not names:
        decimals = [decimal(tree) for tree in (one, other)]
        if any(decimals):
            return _same_decimal(one, other, *decimals)
    return any(_agree(one, other, names, base) for base in _log_bases(one, other))


def decimal(tree: Tree) -> tuple[Fraction, int, int] | None:
    """Value, significant digits, and decimal places of what is written as a decimal; None for anything else."""
    if tree[0] == "neg" and (found := decimal(tree[1])) is not None:
        return -found[0], found[1], found[2]
    if tree[0] == "num" and tree[2] is not None:
        return tree[1], tree[2], tree[3]
    if tree[0] == "mul" and (found := decimal(tree[1])) is not None and tree[2][0] == "pow":
        base, power = tree[2][1:]
        sign, power = (-1, power[1]) if power[0] == "neg" else (1, power)
        if base[:2] == ("num", 10) and power[0] == "num" and power[1].denominator == 1 and power[1] < 1000:
            exponent = sign * int(power[1])
            return found[0] * Fraction(10) ** exponent, found[1], found[2] - exponent
    return None


def rounds(value: tuple[Fraction, int, int], exact: Any, *, fewest: int = FEWEST_DIGITS) -> bool:
    """Whether a decimal is a number rounded to its last digit, or cut off there."""
    written, digits, places = value
    if digits < fewest or isinstance(exact, mpmath.mpc):
        return False
    with mpmath.workprec(FINE):
        scale = Fraction(10) ** places
        distance = (_real(exact) - _real(written)) * _real(scale)
        if digits >= FLOAT_DIGITS and abs(distance / _real(scale)) <= abs(_real(exact)) * _real(FLOAT_TOLERANCE):
            return True
        toward_zero = distance if written >= 0 and exact > 0 else -distance
        return bool(abs(distance) <= 0.5 or 0 <= toward_zero < 1)


def proportional(one: Tree, other: Tree, *, positive: bool = False) -> bool:
    """Whether one expression is a constant multiple of the other, and neither is 0 everywhere."""
    names = sorted(symbols(one) | symbols(other))
    if symbols(one) != symbols(other):
        return False
    ratio, agreeing = None, 0
    for point in _points(names):
        try:
            with mpmath.workprec(PRECISION):
                left, right = (Evaluator(point)(tree) for tree in (one, other))
        except UndefinedError:
            continue
        if any(isinstance(value, mpmath.mpc) for value in (left, right)):
            continue
        if left == 0 or right == 0:
            if left != right:
                return False
            continue
        with mpmath.workprec(PRECISION):
            new = (
                left / right
                if isinstance(left, Fraction) and isinstance(right, Fraction)
                else _real(left) / _real(right)
            )
            if ratio is not None and not _near(ratio, new):
                return False
        ratio, agreeing = new, agreeing + 1
    return ratio is not None and agreeing >= _FEWEST_POINTS and (ratio > 0 or not positive)


def _real(value: Any) -> Any:
    return mpmath.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _infinity(tree: Tree) -> int:
    if tree == ("const", "inf"):
        return 1
    return -1 if tree == ("neg", ("const", "inf")) else 0


def _log_bases(one: Tree, other: Tree) -> tuple[int | None, ...]:
    """How ``\\log`` without a base is read: for either base, since books differ."""
    return (None, 10) if contains(one, "log") or contains(other, "log") else (None,)


def _same_decimal(one: Tree, other: Tree, first: Any, second: Any) -> bool:
    if first and second:
        if max(first[1], second[1]) >= FLOAT_DIGITS:
            return bool(abs(first[0] - second[0]) <= FLOAT_TOLERANCE * max(abs(first[0]), abs(second[0])))
        return bool(first[0] == second[0])
    written, tree = (first, other) if first else (second, one)
    for base in _log_bases(one, other):
        with mpmath.workprec(PRECISION):
            exact = Evaluator(log_base=base)(tree)
        if isinstance(exact, Fraction):
            if written[0] == exact:
                return True
            finite = exact.denominator
            for prime in (2, 5):
                while finite % prime == 0:
                    finite //= prime
            if finite == 1:
                return bool(written[1] >= FLOAT_DIGITS and abs(written[0] - exact) <= FLOAT_TOLERANCE * abs(exact))
        if rounds(written, exact):
            return True
    return False


def _points(names: list[str]) -> Iterator[dict[str, Fraction]]:
    for start, step in _POINTS:
        yield {name: start + place * step for place, name in enumerate(names)}


def _agree(one: Tree, other: Tree, names: list[str], log_base: int | None) -> bool:
    if not names:
        return _equal_at(one, other, {}, log_base) is not False
    imaginary = contains(one, "i") or contains(other, "i")
    agreeing, elsewhere = 0, []
    for point in _points(names):
        try:
            equal = _equal_at(one, other, point, log_base, real=not imaginary)
        except UndefinedError:
            continue
        if equal is None:
            elsewhere.append(point)
        elif not equal:
            return False
        else:
            agreeing += 1
    if agreeing >= _FEWEST_POINTS:
        return True
    # Real almost nowhere, as (-1)^n is: then complex values count.
    for point in elsewhere:
        if not _equal_at(one, other, point, log_base):
            return False
        agreeing += 1
    return agreeing >= _FEWEST_POINTS


def _equal_at(
    one: Tree, other: Tree, point: dict[str, Fraction], log_base: int | None, *, real: bool = False
) -> bool | None:
    """Whether both have one value at a point; None where real values are asked for and one is not real."""
    for precision in (PRECISION, FINE):
        with mpmath.workprec(precision):
            evaluate = Evaluator(point, log_base=log_base)
            try:
                left, right = evaluate(one), evaluate(other)
            except TooLargeError:
                if precision == FINE:
                    raise
                continue
            if real and (isinstance(left, mpmath.mpc) or isinstance(right, mpmath.mpc)):
                return None
            if isinstance(left, Fraction) and isinstance(right, Fraction):
                return left == right
            if precision == FINE:
                return _near(left, right, bits=-FINE // 2)
            if not _near(left, right) and max(_magnitude(left), _magnitude(right)) > _AGREE:
                return False
    return False


def _magnitude(value: Any) -> int:
    return magnitude(value) if value != 0 else -(10**9)


def _near(one: Any, other: Any, *, bits: int = _AGREE) -> bool:
    difference = _real(one) - _real(other)
    return bool(difference == 0 or magnitude(difference) < max(_magnitude(one), _magnitude(other)) + bits)
